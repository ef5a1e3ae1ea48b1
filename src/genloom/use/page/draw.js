// Drawing pictures: a sheet of them by seed, one that is varied along axes, and a walk from one to the next.

const FRAMES = 24 // of a walk from one picture to the next
const chosen = { picture: undefined, changed: [] } // the tile that is chosen {x, z, y, levels}, and who wants to know

// The code between two, as `genloom walk` has it: straight in a cube, on the sphere for Gaussian ones.
function between(a, b, t) {
  const dot = (x, y) => x.reduce((sum, v, i) => sum + v * y[i], 0)
  const angle = Math.acos(Math.min(1, Math.max(-1, dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)))))
  if (record.law === 'uniform' || !(angle >= 1e-4)) return a.map((v, i) => v + (b[i] - v) * t)
  return a.map((v, i) => (Math.sin((1 - t) * angle) * v + Math.sin(t * angle) * b[i]) / Math.sin(angle))
}

SECTIONS.push(() => {
  const stepwise = Boolean(functions.next_pixel)
  let drawn = [], place = 0, touched = false
  const number = kept('n', choice([1, 4, 9, 16, 25, 36, 64, 100].map(n => [n, n]), stepwise ? 4 : 16, draw))
  const seed = seedField(draw, 'seed'), label = labelField(draw, 'all in turn'), warm = stepwise && warmField(draw)
  const grid = h('div', { class: 'grid', role: 'listbox', 'aria-label': 'pictures', onkeydown: move })
  const bar = progressBar('drawing', () => engine.stop('draw'))
  const saving = button('Save as PNG', () => saveCanvas(sheet(drawn.map(each => each.canvas)), named('png', `seed-${seed.value()}`)))
  const part = section('Pictures',
    h('div', { class: 'controls' }, field('How many', number), seed.element, label.element, warm ? warm.element : '', saving), bar.element, grid)
  const varying = functions.generate ? variedPicture(part, () => drawn, () => place, i => choose(i)) : undefined

  function tiles(n) {
    drawn = Array.from({ length: n }, (_, i) => {
      const canvas = h('canvas', { width: shape.width_px, height: shape.height })
      const about = { type: 'button', role: 'option', class: 'tile', tabindex: i ? -1 : 0, 'aria-label': `picture ${i + 1} of ${n}` }
      return { canvas, tile: h('button', { ...about, onclick: () => { touched = true; choose(i) } }, canvas) }
    })
    grid.style.setProperty('--columns', Math.ceil(Math.sqrt(n)))
    grid.replaceChildren(...drawn.map(each => each.tile))
  }

  function move(event) {
    const columns = Math.ceil(Math.sqrt(drawn.length)), at = drawn.findIndex(each => each.tile === document.activeElement)
    const to = at + ({ ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key] ?? NaN)
    if (!drawn[to]) return
    event.preventDefault()
    drawn[to].tile.focus()
    drawn[to].tile.click()
  }

  async function draw() {
    const n = Number(number.value), began = performance.now()
    varying?.stopWalk()
    tiles(n)
    touched = false
    bar.show(0)
    saving.disabled = true
    const classes = Math.max(shape.classes?.length ?? 0, 1), labelOf = i => label.value() ?? i % classes
    const show = (x, first, levels) => {
      for (let i = 0; i < x.dims[0]; i++) {
        const each = drawn[first + i]
        Object.assign(each, { x: one(x, i), label: labelOf(first + i), levels: levels && one(levels, i) })
        paint(each.canvas, x, i)
      }
      firstShown()
    }
    const asked = { seed: seed.value(), n, label: label.value(), temperature: warm ? warm.value() : 1 }
    const found = await engine.newest('draw', stepwise ? 'pixels' : 'draw', asked, ({ first = 0, x, z, share }) => {
      if (stepwise) show(greys(x), 0, x)
      else show(x, first)
      if (z) for (let i = 0; i < z.dims[0]; i++) drawn[first + i].z = one(z, i)
      if (first === 0 && !touched && !stepwise) choose(0)
      bar.show(share ?? (first + x.dims[0]) / n)
    })
    if (found === null) return // a newer one draws now
    bar.hide()
    if (!found) return say('Stopped.')
    if (stepwise) show(greys(found.levels), 0, found.levels)
    saving.disabled = false
    performance.measure('drawn', { start: began, end: performance.now() })
    if (!touched) choose(Math.min(place, n - 1))
  }

  function choose(i) {
    place = i
    drawn.forEach((each, j) => { each.tile.setAttribute('aria-selected', j === i); each.tile.tabIndex = j === Math.max(i, 0) ? 0 : -1 })
    chosen.picture = drawn[i]
    for (const tell of chosen.changed) tell()
    varying?.start(drawn[i])
  }

  chosen.bring = z => { choose(-1); varying.start({ z, label: label.value() ?? 0 }) }
  draw()
})

// The chosen picture, large, with its sliders and its walk.
function variedPicture(part, drawn, place, choose) {
  const axes = record.axes, large = h('canvas', { class: 'large', role: 'img', 'aria-label': 'the chosen picture' })
  const sliders = axes.directions.map(() => h('input', { type: 'range', min: -axes.span, max: axes.span, step: axes.span / 50, value: 0, oninput: () => { stopWalk(); vary() } }))
  const walkButton = button('Walk', () => walking ? stopWalk() : walk())
  const reset = button('Reset', () => place() < 0 ? start(begun) : choose(place()))
  part.append(h('div', { class: 'beside' },
    h('div', { class: 'stay' }, large, h('div', { class: 'controls' }, reset, walkButton, button('Save it', () => saveCanvas(sheet([large]), named('png', 'chosen'))))),
    h('div', { class: 'sliders' }, h('h3', {}, 'Vary the chosen picture'), h('p', { class: 'hint' }, axes.means), sliders.map((slider, k) => field(axes.titles[k], slider)))))
  let begun, current, walking = 0

  function start(from) {
    stopWalk()
    begun = current = from
    sliders.forEach(slider => { slider.value = 0 })
    if (from?.x) paint(large, from.x)
    else if (from?.z) vary()
  }

  function code() {
    const z = Float32Array.from(current.z.data)
    sliders.forEach((slider, k) => axes.directions[k].forEach((d, i) => { z[i] += Number(slider.value) * d }))
    return axes.low ? z.map((v, i) => Math.min(axes.high[i], Math.max(axes.low[i], v))) : z
  }

  async function made(z, label) {
    const y = tensor([1], Float64Array.of(label ?? 0), 'i')
    const given = { z: tensor([1, z.length], z), ...(record.conditional ? { y } : {}) }
    const found = await engine.newest('chosen', 'call', { name: 'generate', given })
    if (found) paint(large, found.x)
    return found
  }

  function vary() { if (current?.z) made(code(), current.label) }

  function stopWalk() {
    walking = 0
    walkButton.textContent = 'Walk'
    walkButton.setAttribute('aria-pressed', false)
  }

  async function walk() {
    const codes = drawn().filter(each => each.z)
    if (!current?.z || codes.length < 2) return say('A walk needs two pictures or more.')
    const mine = walking = performance.now()
    walkButton.textContent = 'Stop'
    walkButton.setAttribute('aria-pressed', true)
    let from = { z: code(), label: current.label }, next = (Math.max(place(), -1) + 1) % codes.length
    sliders.forEach(slider => { slider.value = 0 })
    for (let frame = 1; walking === mine; frame++) {
      const began = performance.now(), z = between(from.z, codes[next].z.data, frame / FRAMES)
      const label = frame > FRAMES / 2 ? codes[next].label : from.label // there is nothing between two labels
      if (!await made(z, label) || walking !== mine) return
      current = { z: tensor([1, z.length], z), label }
      if (frame === FRAMES) { frame = 0; from = { z, label }; next = (next + 1) % codes.length }
      await new Promise(done => setTimeout(done, Math.max(0, 50 - (performance.now() - began))))
    }
  }

  return { start, stopWalk }
}

// Levels as pictures in [0, 1]; those that are yet to be drawn (-1) are grey.
const greys = x => tensor(x.dims, Float32Array.from(x.data, v => v < 0 ? 0.5 : v / (record.levels - 1)))
