// What is made of a picture that a person brings: translated, larger, as a model remembers it, its class, its likelihood.

const WORDS = { translate_to_A: 'Turn a picture into side A', translate_to_B: 'Turn a picture into side B', upscale: 'Make a picture larger' }
const MOST_PIXELS = 1 << 20 // of a picture that is taken as large as it is

SECTIONS.push(() => {
  for (const each of record.functions) if (WORDS[each.name]) turned(each)
  const said = ['encode', 'classify', 'log_prob'].filter(name => functions[name])
  if (said.length) read(said)
})

const side = (dims, i) => typeof dims[i] === 'number' ? { fixed: dims[i] } : { multiple: Number(dims[i].split(' ')[0]) || 1 }

function turned(each) {
  const port = each.inputs[0], c = port.dims[1], upscale = each.name === 'upscale', to = each.name.slice(-1)
  const palette = { A: shape.palette ?? [], B: shape.palette_b ?? [] }, own = upscale ? [] : palette[to === 'B' ? 'A' : 'B']
  const [hi, wi] = [side(port.dims, 2), side(port.dims, 3)], usual = Math.max(shape.height, shape.width_px)
  const sizes = [...new Set([64, 128, ...(upscale ? [] : [usual]), 256, 512])].sort((a, b) => a - b)
  const longest = choice([[0, 'as it is'], ...sizes.map(n => [n, `${n} pixels`])], upscale ? 0 : usual, () => go())
  const saving = button('Save as PNG', () => saveCanvas(after, named('png', upscale ? 'larger' : `to-${to}`)), { disabled: true })
  const seed = each.inputs.length > 1 && seedField(() => go()), stage = h('div', { class: 'pictures' }), after = h('canvas', { class: 'shown' })
  let picture
  section(WORDS[each.name], h('div', { class: 'controls' },
    dropField('Drop a picture here, or choose one', found => { picture = found; return go() }),
    hi.fixed ? '' : field('Longer side taken', longest), seed ? seed.element : '',
    saving), stage)

  async function go() {
    if (!picture) return
    const most = Math.sqrt(MOST_PIXELS / (picture.width * picture.height)), asked = Number(longest.value) / Math.max(picture.width, picture.height)
    const scale = Math.min(asked || 1, most, upscale ? 1 : Infinity)
    const fit = (s, n) => s.fixed ?? Math.max(1, Math.round(n * scale / s.multiple)) * s.multiple
    const x = pixelsOf(picture, c, Math.max(fit(hi, picture.height), port.least?.height ?? 1), Math.max(fit(wi, picture.width), port.least?.width ?? 1), own)
    say('Working…')
    saving.disabled = true
    const u = seed && await engine.ask('noise', { seed: seed.value(), n: 1, k: each.inputs[1].dims[1] })
    const found = await engine.newest(each.name, 'call', { name: each.name, given: { [port.name]: x, ...u } })
    if (!found) return
    const out = found[each.outputs[0].name]
    stage.replaceChildren(figure(paint(h('canvas', { class: 'shown' }), x, 0, own), `before, ${x.dims[3]}x${x.dims[2]}`),
      figure(paint(after, out, 0, upscale ? [] : palette[to]), `after, ${out.dims[3]}x${out.dims[2]}`))
    saving.disabled = false
    say(!hi.fixed && scale === most && scale < 1 ? `The picture was made smaller first, to ${x.dims[3]}x${x.dims[2]}: larger ones are for the command line.` : '')
  }
}

function read(said) {
  const { channels: c, height: hi, width_px: wi } = shape, stage = h('div', { class: 'pictures' })
  const words = { encode: 'as the model remembers it', classify: 'its class', log_prob: 'how likely it is' }
  const label = said.includes('log_prob') ? labelField(() => picture && go()) : { value: () => undefined, element: '' }
  const saving = { element: button('Save as PNG', () => saveCanvas(saving.canvas, named('png', 'remembered')), { disabled: true }) }
  let picture
  section(`A picture of yours: ${said.map(name => words[name]).join(', ')}`, h('div', { class: 'controls' },
    dropField('Drop a picture here, or choose one', found => { picture = found; return go() }), label.element,
    said.includes('encode') ? saving.element : ''), stage)

  async function go() {
    const x = pixelsOf(picture, c, hi, wi), shown = [figure(paint(h('canvas', { class: 'shown' }), x), 'as it is read')]
    if (record.levels) x.data = x.data.map(v => Math.floor(v * (record.levels - 1) + 0.5) / (record.levels - 1))
    for (const name of said) shown.push(await { encode: remembered, classify: classified, log_prob: likely }[name](x))
    stage.replaceChildren(...shown)
  }

  async function remembered(x) {
    const { z } = await engine.ask('call', { name: 'encode', given: { x } })
    const back = await engine.ask('call', { name: 'decode', given: { z } })
    const canvas = paint(h('canvas', { class: 'shown' }), Object.values(back)[0])
    if (record.axes && functions.generate) chosen.bring(z)
    saving.canvas = canvas
    saving.element.disabled = false
    return figure(canvas, 'as it is remembered')
  }

  async function classified(x) {
    const { p } = await engine.ask('call', { name: 'classify', given: { x } })
    const rows = [...p.data].map((v, i) => [shape.classes?.[i] ?? i, v]).sort((a, b) => b[1] - a[1]).slice(0, 5)
    return h('table', {}, h('caption', {}, 'class'), rows.map(([name, v]) => h('tr', {}, h('th', { scope: 'row' }, name),
      h('td', {}, h('progress', { max: 1, value: v, 'aria-hidden': true })), h('td', {}, `${(100 * v).toFixed(1)} %`))))
  }

  async function likely(x) {
    const y = record.conditional ? { y: tensor([1], Float64Array.of(label.value()), 'i') } : {}
    const { nats } = await engine.ask('call', { name: 'log_prob', given: { x, ...y } })
    const bits = -nats.data[0] / Math.LN2 / (c * hi * wi)
    return h('p', { class: 'figure' }, h('strong', {}, `${bits.toFixed(3)} bits`), ' a dimension, the less the more usual')
  }
}
