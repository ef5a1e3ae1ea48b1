// Columns of a table: how values are coded, and which values codes stand for.

// The code of a cell; undefined for a text that is none.
function coded(column, text) {
  if (column.categories.length) return Number(text)
  const value = column.kind === 'date' ? Date.parse(text) / 1000 : Number(text)
  return Number.isFinite(value) ? (value - column.mean) / column.scale : undefined
}

// What a code stands for, as this column could hold it: within what was seen, on its grid or steps.
function held(column, code) {
  if (column.categories.length) return text(column.categories[Math.min(column.categories.length - 1, Math.max(0, Math.round(code)))])
  let value = Math.min(column.high, Math.max(column.low, code * column.scale + column.mean))
  if (column.grid.length) value = column.grid.reduce((best, v) => Math.abs(v - value) < Math.abs(best - value) ? v : best)
  else if (column.step) value = Math.min(column.high, Math.max(column.low, Math.round(value / column.step) * column.step))
  return value
}

// A category as Python writes it.
const text = category => category === true ? 'True' : category === false ? 'False' : String(category)

const DAY = 86400 // seconds

// A value as a person reads it; codes are fp32, of which more than so many digits say nothing.
function shown(column, value) {
  if (typeof value === 'string') return value
  if (column.kind !== 'date') return column.kind === 'integer' ? String(Math.round(value)) : Number(value.toPrecision(8)).toString()
  const step = column.step || 1, moment = new Date(Math.round(value / step) * step * 1000).toISOString()
  return column.step && column.step % DAY === 0 ? moment.slice(0, 10) : moment.slice(0, 16).replace('T', ' ')
}

const csvCell = text => /[",\n]/.test(text) ? `"${String(text).replaceAll('"', '""')}"` : String(text)

function saveCsv(rows, name) { save(new Blob([rows.map(row => row.map(csvCell).join(',') + '\n').join('')], { type: 'text/csv' }), name) }
