// Erasing a part of a picture and having it drawn anew, pixel by pixel, in several ways.

SECTIONS.push(() => {
  const { channels: c, height: hi, width_px: wi } = shape, plane = hi * wi
  let levels = new Float64Array(c * plane), erased = new Uint8Array(plane).fill(1), cursor = [0, 0], last, keyed = false, own = false
  const canvas = h('canvas', { class: 'large erase', tabindex: 0, role: 'application', 'aria-label': 'a picture to erase in: arrows move, space erases', onkeydown: keys })
  const brush = choice([1, 2, 3, 5, 8].filter(n => n < wi).map(n => [n, `${n} pixel${n > 1 ? 's' : ''}`]), wi > 16 ? 5 : 2, () => {})
  const ways = choice([1, 2, 4, 9].map(n => [n, n]), 1, () => {}), seed = seedField(() => {}), warm = warmField(() => {})
  const label = labelField(() => {}), bar = progressBar('completing', () => engine.stop('complete'))
  const found = h('div', { class: 'grid', 'aria-label': 'ways in which it may go on' })
  const saving = button('Save as PNG', () => saveCanvas(sheet([...found.querySelectorAll('canvas')]), named('png', `completed-${seed.value()}`)), { disabled: true })

  section('Complete', h('p', { class: 'hint' }, 'Erase with the pointer, or by arrows and space, and have the rest drawn anew.'),
    h('div', { class: 'beside' }, h('div', {}, canvas),
      h('div', { class: 'controls upright' },
        button('Take the chosen picture', () => { own = false; take() }), dropField('Bring a picture', picture => { own = true; bring(pixelsOf(picture, c, hi, wi)) }),
        button('Erase the lower half', () => erase(y => y >= hi / 2, true)), button('Erase all', () => erase(() => true, true)), field('Brush', brush))),
    h('div', { class: 'controls' }, field('Ways', ways), seed.element, label.element, warm.element, button('Draw what is missing', complete, { class: 'first' }), saving),
    bar.element, found)

  function take() {
    const from = chosen.picture
    if (!from?.levels) return
    levels = Float64Array.from(from.levels.data, v => Math.max(0, v))
    label.set(from.label)
    begin(i => from.levels.data[i] < 0 || Math.floor(i / wi) >= hi / 2)
  }

  function bring(x) {
    levels = Float64Array.from(x.data, v => Math.floor(v * (record.levels - 1) + 0.5))
    begin(i => Math.floor(i / wi) >= hi / 2)
  }

  function begin(missing) {
    engine.stop('complete')
    for (let i = 0; i < plane; i++) erased[i] = missing(i)
    show()
  }

  // What is known as it is, and what is not as a pattern that no picture has.
  function show() {
    paint(canvas, greys({ dims: [1, c, hi, wi], data: levels }))
    const pen = canvas.getContext('2d')
    for (let i = 0; i < plane; i++) {
      if (!erased[i]) continue
      pen.fillStyle = (Math.floor(i / wi) + i % wi) % 2 ? '#e69f00' : '#b87900'
      pen.fillRect(i % wi, Math.floor(i / wi), 1, 1)
    }
    if (!keyed || document.activeElement !== canvas) return
    pen.fillStyle = '#0072b2'
    pen.fillRect(cursor[1], cursor[0], 1, 1)
  }

  function erase(inside, anew = false) {
    engine.stop('complete')
    for (let i = 0; i < plane; i++) if (inside(Math.floor(i / wi), i % wi)) erased[i] = 1
    else if (anew) erased[i] = 0
    show()
  }

  function dab([cy, cx]) {
    const size = Number(brush.value), [y0, x0] = [cy, cx].map(v => v - Math.floor(size / 2))
    erase((y, x) => y >= y0 && y < y0 + size && x >= x0 && x < x0 + size)
  }

  function at(event) {
    const box = canvas.getBoundingClientRect(), inside = (v, size, n) => Math.min(n - 1, Math.max(0, Math.floor(v / size * n)))
    return [inside(event.clientY - box.top, box.height, hi), inside(event.clientX - box.left, box.width, wi)]
  }

  // From where the pointer was to where it is.
  function stroke(to) {
    const from = last ?? to, steps = Math.max(1, Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1]))
    for (let s = 1; s <= steps; s++) dab([0, 1].map(k => Math.round(from[k] + (to[k] - from[k]) * s / steps)))
    last = cursor = to
  }

  canvas.addEventListener('pointerdown', event => { keyed = false; last = undefined; canvas.setPointerCapture(event.pointerId); stroke(at(event)) })
  canvas.addEventListener('pointermove', event => { if (last) stroke(at(event)) })
  for (const end of ['pointerup', 'pointercancel']) canvas.addEventListener(end, () => { last = undefined })
  for (const turn of ['focus', 'blur']) canvas.addEventListener(turn, show)

  function keys(event) {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key]
    if (event.key !== ' ' && !by) return
    event.preventDefault()
    keyed = true
    if (by) cursor = [Math.min(hi - 1, Math.max(0, cursor[0] + by[0])), Math.min(wi - 1, Math.max(0, cursor[1] + by[1]))]
    else dab(cursor)
    show()
  }

  async function complete() {
    if (!erased.some(Boolean)) return say('Nothing is missing: erase something first.')
    const n = Number(ways.value), known = new Float64Array(n * c * plane).map((_, i) => erased[i % plane] ? -1 : levels[i % (c * plane)])
    const canvases = Array.from({ length: n }, () => h('canvas', {}))
    found.style.setProperty('--columns', Math.ceil(Math.sqrt(n)))
    found.replaceChildren(...canvases)
    saving.disabled = true
    bar.show(0)
    say('')
    const put = x => canvases.forEach((each, i) => paint(each, greys(x), i))
    const asked = { seed: seed.value(), n, label: label.value(), known: tensor([n, c, hi, wi], known, 'i'), temperature: warm.value() }
    const done = await engine.newest('complete', 'pixels', asked, ({ x, share }) => {
      put(tensor(x.dims, x.data.map((v, i) => v < 0 ? known[i] : v)))
      bar.show(share)
    })
    if (done === null) return
    bar.hide()
    if (!done) return say('Stopped.')
    put(done.levels)
    saving.disabled = false
    say('The picture is complete.')
  }

  chosen.changed.push(() => { if (!own) take() })
  show()
})
