// Drawing pictures: a sheet of them by seed, one that is varied along axes, and a walk from one to the next.

const FRAMES = 24 // of a walk from one picture to the next

// The code between two, as `genloom walk` has it: straight in a cube, on the sphere for Gaussian ones.
function between(a, b, t) {
  const dot = (x, y) => x.reduce((sum, v, i) => sum + v * y[i], 0)
  const angle = Math.acos(Math.min(1, Math.max(-1, dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)))))
  if (record.law === 'uniform' || !(angle >= 1e-4)) return a.map((v, i) => v + (b[i] - v) * t)
  return a.map((v, i) => (Math.sin((1 - t) * angle) * v + Math.sin(t * angle) * b[i]) / Math.sin(angle))
}

SECTIONS.push(async () => {
  const stepwise = Boolean(functions.next_pixel), latent = Boolean(functions.generate), axes = record.axes ?? { directions: [] }
  let drawn = [], chosen = 0, walking = 0
  const number = choice([1, 4, 9, 16, 25, 36, 64, 100].map(n => [n, n]), stepwise ? 4 : 16, () => draw())
  const seed = seedField(() => draw()), label = labelField(() => draw()), warm = stepwise && warmField(() => draw())
  const grid = h('div', { class: 'grid', role: 'listbox', 'aria-label': 'pictures', onkeydown: move })
  const bar = h('progress', { max: 1, value: 0, 'aria-label': 'drawing' })
  const part = section('Pictures',
    h('div', { class: 'controls' }, field('How many', number), seed.element, label.element, warm ? warm.element : '',
      button('Save as PNG', () => saveCanvas(sheet(drawn.map(each => each.canvas)), named('png', seed.value())))),
    bar, grid)

  function tiles(n) {
    drawn = Array.from({ length: n }, (_, i) => {
      const canvas = h('canvas', { width: shape.width_px, height: shape.height })
      const tile = h('button', { type: 'button', role: 'option', class: 'tile', tabindex: i ? -1 : 0, 'aria-label': `picture ${i + 1} of ${n}`, onclick: () => choose(i) }, canvas)
      return { canvas, tile }
    })
    grid.style.setProperty('--columns', Math.ceil(Math.sqrt(n)))
    grid.replaceChildren(...drawn.map(each => each.tile))
  }

  function move(event) {
    const columns = Math.ceil(Math.sqrt(drawn.length)), at = drawn.findIndex(each => each.tile === document.activeElement)
    const to = at + ({ ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key] ?? NaN)
    if (drawn[to]) { event.preventDefault(); drawn[to].tile.focus(); choose(to) }
  }

  async function draw() {
    const n = Number(number.value), began = performance.now()
    stopWalk()
    tiles(n)
    bar.hidden = false
    const asked = { seed: seed.value(), n, label: label.value(), temperature: warm ? warm.value() : 1 }
    const show = (x, first) => {
      for (let i = 0; i < x.dims[0]; i++) Object.assign(drawn[first + i], { x: one(x, i) }).canvas = paint(drawn[first + i].canvas, x, i)
      firstShown()
    }
    const found = await engine.newest('draw', stepwise ? 'pixels' : 'draw', asked, ({ first = 0, x, z, y, share }) => {
      if (stepwise) x = greys(x)
      show(x, first)
      if (z) for (let i = 0; i < z.dims[0]; i++) Object.assign(drawn[first + i], { z: one(z, i), y: y && one(y, i) })
      bar.value = share ?? (first + x.dims[0]) / n
    })
    if (!found) return
    if (stepwise) show(greys(found.levels), 0)
    bar.hidden = true
    performance.measure('drawn', { start: began, end: performance.now() })
    choose(Math.min(chosen, n - 1))
  }

  // -- the chosen one ------------------------------------------------------------------------------

  const large = h('canvas', { class: 'large', role: 'img', 'aria-label': 'the chosen picture' })
  const sliders = axes.directions.map((_, k) => h('input', { type: 'range', min: -axes.span, max: axes.span, step: axes.span / 50, value: 0, oninput: vary }))
  const walkButton = button('Walk', () => walking ? stopWalk() : walk())
  const beside = h('div', { class: 'controls' })
  if (latent) {
    part.append(h('div', { class: 'beside' }, h('div', {}, large, beside), h('div', { class: 'sliders' },
      h('h3', {}, 'Vary the chosen picture'), h('p', { class: 'hint' }, axes.means ?? ''),
      sliders.map((slider, k) => field(axes.titles[k], slider)))))
    beside.append(button('Reset', () => { resetSliders(); vary() }), walkButton, button('Save it', () => saveCanvas(sheet([large]), named('png'))))
  }
  record.chosen = { use: (z, y) => { stopWalk(); resetSliders(); current = { z, y }; vary() }, any: () => current, drawn: () => drawn[chosen] }
  let current

  function resetSliders() { sliders.forEach(slider => { slider.value = 0 }) }

  function choose(i) {
    chosen = i
    drawn.forEach((each, j) => { each.tile.setAttribute('aria-selected', j === i); each.tile.tabIndex = j === i ? 0 : -1 })
    record.chosenChanged?.(drawn[i])
    if (!latent || !drawn[i].z) return
    stopWalk()
    resetSliders()
    current = drawn[i]
    if (drawn[i].x) paint(large, drawn[i].x)
  }

  function varied() {
    const z = Float32Array.from(current.z.data)
    sliders.forEach((slider, k) => axes.directions[k].forEach((d, i) => { z[i] += Number(slider.value) * d }))
    if (axes.low) z.forEach((v, i) => { z[i] = Math.min(axes.high[i], Math.max(axes.low[i], v)) })
    return z
  }

  const generate = (lane, z) => engine.newest(lane, 'call', { name: 'generate', given: { z: tensor([1, z.length], z), ...(record.conditional ? { y: current.y } : {}) } })

  async function vary() {
    if (!current) return
    const found = await generate('chosen', varied())
    if (found) paint(large, found.x)
  }

  // -- a walk --------------------------------------------------------------------------------------

  function stopWalk() {
    walking = 0
    walkButton.textContent = 'Walk'
    walkButton.setAttribute('aria-pressed', false)
  }

  async function walk() {
    const mine = walking = performance.now(), codes = drawn.filter(each => each.z)
    if (!codes.length) return
    walkButton.textContent = 'Stop'
    walkButton.setAttribute('aria-pressed', true)
    resetSliders()
    let from = varied(), next = (chosen + 1) % codes.length
    for (let frame = 1; walking === mine; frame++) {
      const began = performance.now(), z = between(from, codes[next].z.data, frame / FRAMES)
      const found = await generate('chosen', z)
      if (!found || walking !== mine) return
      current = { ...current, z: tensor([1, z.length], z) }
      paint(large, found.x)
      if (frame === FRAMES) { frame = 0; from = z; next = (next + 1) % codes.length }
      await new Promise(done => setTimeout(done, Math.max(0, 50 - (performance.now() - began))))
    }
  }

  await draw()
})

// Levels as pictures in [0, 1]; those that are yet to be drawn (-1) are grey.
const greys = x => tensor(x.dims, Float32Array.from(x.data, v => v < 0 ? 0.5 : v / (record.levels - 1)))
