// A row with holes: a form, and what is filled in, by the best guess and by chance.

const CHANCES = 5 // rows drawn by chance

SECTIONS.push(() => {
  const { columns } = shape, controls = columns.map(controlOf), seed = seedField(fill), stage = h('div', { class: 'scroll' })
  const saving = button('Save as CSV', () => saveCsv(saved, named('csv')), { disabled: true })
  let saved = []
  section('Fill in a row',
    h('p', { class: 'hint' }, 'Give what you know and leave the rest empty.'),
    h('form', { class: 'form', onsubmit: event => { event.preventDefault(); fill() } },
      h('div', { class: 'cells' }, columns.map((column, d) => field(column.name, controls[d]))),
      h('div', { class: 'controls' }, h('button', { class: 'first' }, 'Fill in'), seed.element,
        button('Empty the form', () => { controls.forEach(each => { each.value = '' }); stage.replaceChildren(); saving.disabled = true }), saving)), stage)

  function controlOf(column) {
    if (column.categories.length) return choice([['', 'unknown'], ...column.categories.map((name, i) => [i, text(name)])], '', () => {})
    if (column.kind === 'date') return h('input', { type: 'date', title: `${shown(column, column.low)} to ${shown(column, column.high)}` })
    return h('input', { type: 'number', step: 'any', placeholder: `${shown(column, column.low)} to ${shown(column, column.high)}` })
  }

  async function fill() {
    const d = columns.length, x = new Float32Array(d), mask = new Uint8Array(d)
    columns.forEach((column, i) => {
      const code = controls[i].value === '' ? undefined : coded(column, controls[i].value)
      if (code !== undefined) { x[i] = code; mask[i] = 1 }
    })
    say('Filling in…')
    const given = { x: tensor([1, d], x), mask: tensor([1, d], mask, 'b') }
    const best = await engine.newest('rows', 'call', { name: 'impute', given })
    if (!best) return
    const rows = [['best guess', one(best.filled, 0)]]
    if (functions.draw) {
      const k = functions.draw.inputs.find(each => each.name === 'u').dims[1], { u } = await engine.ask('noise', { seed: seed.value(), n: CHANCES, k })
      const many = t => tensor([CHANCES, d], t.data.constructor.from({ length: CHANCES * d }, (_, i) => t.data[i % d]), t.kind)
      const found = await engine.newest('rows', 'call', { name: 'draw', given: { x: many(given.x), mask: many(given.mask), u } })
      if (!found) return
      for (let i = 0; i < CHANCES; i++) rows.push([`by chance ${i + 1}`, one(found.filled, i)])
    }
    const cell = (column, i, code) => !mask[i] ? shown(column, held(column, code)) : column.categories.length ? text(column.categories[x[i]]) : controls[i].value
    saved = [['row', ...columns.map(each => each.name)], ...rows.map(([name, row]) => [name, ...columns.map((column, i) => cell(column, i, row.data[i]))])]
    stage.replaceChildren(h('table', { class: 'rows' }, h('caption', {}, 'Cells that were filled in are marked.'),
      h('thead', {}, h('tr', {}, h('td', {}), columns.map(each => h('th', { scope: 'col' }, each.name)))),
      h('tbody', {}, saved.slice(1).map(([name, ...cells]) => h('tr', {}, h('th', { scope: 'row' }, name), cells.map((text, i) => h('td', mask[i] ? {} : { class: 'filled' }, text)))))))
    const beyond = columns.filter((column, i) => mask[i] && !column.categories.length && !within(column, controls[i].value))
    saving.disabled = false
    say(beyond.length ? `${beyond.map(each => each.name).join(', ')}: beyond what the model has seen, so do not trust what hangs on it.` : '', beyond.length > 0)
  }

  function within(column, given) {
    const value = column.kind === 'date' ? Date.parse(given) / 1000 : Number(given)
    return value >= column.low && value <= column.high
  }
})
