// Erasing a part of a picture and having it drawn anew, pixel by pixel.

SECTIONS.push(() => {
  const { channels: c, height: hi, width_px: wi } = shape, plane = hi * wi
  let levels = new Float64Array(c * plane).fill(-1), cursor = [0, 0], erasing = false, label
  const canvas = h('canvas', { class: 'large erase', tabindex: 0, role: 'application', 'aria-label': 'a picture to erase in: arrows move, space erases', onkeydown: keys })
  const brush = choice([1, 2, 3, 5, 8].filter(n => n < wi).map(n => [n, `${n} pixel${n > 1 ? 's' : ''}`]), wi > 16 ? 5 : 2, () => {})
  const seed = seedField(() => {}), warm = warmField(() => {}), bar = h('progress', { max: 1, value: 0, hidden: true, 'aria-label': 'drawing' })
  const go = button('Draw what is missing', complete, { class: 'first' })

  section('Complete', h('p', { class: 'hint' }, 'Erase with the pointer, or by arrows and space, and have the rest drawn anew. Choose the picture above, or bring one.'),
    h('div', { class: 'beside' }, h('div', {}, canvas, bar),
      h('div', { class: 'controls upright' }, field('Brush', brush),
        button('Erase the lower half', () => erase((y) => y >= hi / 2)), button('Erase all', () => erase(() => true)),
        button('Take the chosen picture', () => take(record.chosen.drawn())), seed.element, warm.element, go,
        dropField('Bring a picture', picture => bring(pixelsOf(picture, c, hi, wi))),
        button('Save it', () => saveCanvas(sheet([canvas]), named('png', seed.value()))))))

  function take(found) {
    if (!found?.x) return
    label = shape.classes?.length && record.conditional ? [...document.querySelectorAll('.tile')].findIndex(each => each.getAttribute('aria-selected') === 'true') % shape.classes.length : undefined
    bring(found.x)
  }

  function bring(x) {
    engine.stop('complete')
    levels = Float64Array.from(x.data, v => Math.min(record.levels - 1, Math.floor(v * (record.levels - 1) + 0.5)))
    show()
  }

  function show(of = levels) {
    paint(canvas, greys({ dims: [1, c, hi, wi], data: of }))
    if (document.activeElement !== canvas) return
    const pen = canvas.getContext('2d')
    pen.fillStyle = '#e69f00'
    pen.fillRect(cursor[1], cursor[0], 1, 1)
  }

  function erase(inside) {
    engine.stop('complete')
    for (let y = 0; y < hi; y++) for (let x = 0; x < wi; x++) if (inside(y, x)) for (let q = 0; q < c; q++) levels[q * plane + y * wi + x] = -1
    show()
  }

  function dab() {
    const size = Number(brush.value), [y0, x0] = cursor.map(v => v - Math.floor(size / 2))
    erase((y, x) => y >= y0 && y < y0 + size && x >= x0 && x < x0 + size)
  }

  function at(event) {
    const box = canvas.getBoundingClientRect(), inside = (v, size, n) => Math.min(n - 1, Math.max(0, Math.floor(v / size * n)))
    cursor = [inside(event.clientY - box.top, box.height, hi), inside(event.clientX - box.left, box.width, wi)]
  }

  canvas.addEventListener('pointerdown', event => { erasing = true; canvas.setPointerCapture(event.pointerId); at(event); dab() })
  canvas.addEventListener('pointermove', event => { if (erasing) { at(event); dab() } })
  for (const end of ['pointerup', 'pointercancel']) canvas.addEventListener(end, () => { erasing = false })
  for (const turn of ['focus', 'blur']) canvas.addEventListener(turn, () => show())

  function keys(event) {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key]
    if (event.key === ' ') dab()
    else if (by) cursor = [Math.min(hi - 1, Math.max(0, cursor[0] + by[0])), Math.min(wi - 1, Math.max(0, cursor[1] + by[1]))]
    else return
    event.preventDefault()
    show()
  }

  async function complete() {
    const known = tensor([1, c, hi, wi], levels, 'i')
    bar.hidden = false
    say('')
    const mix = so => Float64Array.from(levels, (v, i) => v >= 0 ? v : so[i])
    const found = await engine.newest('complete', 'pixels', { seed: seed.value(), n: 1, label, known, temperature: warm.value() }, ({ x, share }) => {
      bar.value = share
      show(mix(x.data))
    })
    bar.hidden = true
    if (!found) return
    levels = Float64Array.from(found.levels.data)
    show()
    say('The picture is complete.')
  }

  take(record.chosen.drawn())
  erase(y => y >= hi / 2)
})
