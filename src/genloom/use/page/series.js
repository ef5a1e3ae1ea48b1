// Windows of a record as lines, a column below the other; or points, as how many fall where.

const LINES = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'] // Okabe and Ito's
const NS = 'http://www.w3.org/2000/svg', WIDE = 640, HIGH = 110, PAD = 6

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(NS, tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...children)
  return made
}

SECTIONS.push(() => {
  const points = typeof shape.columns === 'number'
  const number = choice((points ? [200, 1000, 5000] : [1, 3, 6]).map(n => [n, n]), points ? 1000 : 3, () => draw())
  const seed = seedField(() => draw(), 'seed'), label = labelField(() => draw(), 'all in turn'), stage = h('div', { class: 'plots' })
  let values = []
  section(points ? 'Points' : 'Windows of a record', h('div', { class: 'controls' }, field('How many', number), seed.element, label.element,
    button('Save as CSV', () => values.length ? saveCsv(values, named('csv', `seed-${seed.value()}`)) : say('Nothing is drawn yet.'))), stage)

  async function draw() {
    const n = Number(number.value), parts = []
    const found = await engine.newest('draw', 'draw', { seed: seed.value(), n, label: label.value() }, ({ x }) => parts.push(x))
    if (!found) return
    const all = parts.flatMap(x => [...x.data])
    if (points) showPoints(all)
    else showWindows(all, n)
    firstShown()
  }

  function showPoints(all) {
    const d = shape.columns
    values = [Array.from({ length: d }, (_, i) => `x${i + 1}`), ...Array.from({ length: all.length / d }, (_, i) => all.slice(i * d, (i + 1) * d))]
    stage.replaceChildren(...Array.from({ length: d }, (_, i) => histogram(all.filter((_, j) => j % d === i), `x${i + 1}`)))
  }

  function histogram(numbers, name) {
    const low = Math.min(...numbers), high = Math.max(...numbers), bins = new Array(60).fill(0)
    for (const v of numbers) bins[Math.min(59, Math.floor((v - low) / (high - low || 1) * 60))]++
    const most = Math.max(...bins), wide = WIDE / 60
    const bars = bins.map((n, i) => svg('rect', { x: i * wide, y: HIGH - n / most * (HIGH - PAD), width: wide - 1, height: n / most * (HIGH - PAD), fill: LINES[0] }))
    return plot(name, `${low.toPrecision(3)} to ${high.toPrecision(3)}`, bars)
  }

  function showWindows(all, n) {
    const { columns, window: t } = shape, d = columns.length
    const value = (i, s, c) => held(columns[c], all[(i * t + s) * d + c])
    values = [['window', 'step', ...columns.map(each => each.name)]]
    for (let i = 0; i < n; i++) for (let s = 0; s < t; s++) values.push([i + 1, s, ...columns.map((each, c) => shown(each, value(i, s, c)))])
    stage.replaceChildren(...columns.map((column, c) => {
      const place = v => column.categories.length ? column.categories.map(text).indexOf(v) : v
      const rows = Array.from({ length: n }, (_, i) => Array.from({ length: t }, (_, s) => place(value(i, s, c))))
      const low = Math.min(...rows.flat()), high = Math.max(...rows.flat())
      const y = v => PAD + (1 - (v - low) / (high - low || 1)) * (HIGH - 2 * PAD), x = s => s / Math.max(1, t - 1) * WIDE
      const lines = rows.map((row, i) => svg('polyline', { points: row.map((v, s) => `${x(s)},${y(v)}`).join(' '), fill: 'none', stroke: LINES[i % LINES.length], 'stroke-width': 1.5 }))
      return plot(column.name, column.categories.length ? column.categories.join(', ') : `${shown(column, low)} to ${shown(column, high)}`, lines)
    }))
  }

  function plot(name, range, children) {
    const drawing = svg('svg', { viewBox: `0 0 ${WIDE} ${HIGH}`, role: 'img', 'aria-label': `${name}, ${range}`, preserveAspectRatio: 'none' }, ...children)
    return h('figure', { class: 'plot' }, h('figcaption', {}, h('strong', {}, name), ` ${range}`), drawing)
  }

  draw()
})
