// Tensors that lie in order, row by row, and ways to walk through them.

const ARRAYS = { f: Float32Array, d: Float64Array, i: Float64Array, b: Uint8Array }
const count = dims => dims.reduce((n, d) => n * d, 1)
const from = (axis, rank) => axis < 0 ? axis + rank : axis
const sameDims = (a, b) => a.length === b.length && a.every((d, i) => d === b[i])

class Tensor {
  constructor(dims, data, kind) { this.dims = dims; this.data = data; this.kind = kind }
  static of(dims, kind) { return new Tensor(dims, new ARRAYS[kind](count(dims)), kind) }
  as(dims) { return new Tensor(dims, this.data, this.kind) }
}

function stridesOf(dims) {
  const strides = new Array(dims.length)
  for (let i = dims.length - 1, s = 1; i >= 0; s *= dims[i--]) strides[i] = s
  return strides
}

// Calls `row(place, at)` for each row of a walk over `dims`, whose last dimension is left to the caller.
function walk(dims, strides, offset, row) {
  if (!count(dims)) return
  const outer = dims.slice(0, -1), at = new Array(outer.length).fill(0), length = dims.length ? dims[dims.length - 1] : 1
  for (let place = 0; ; place += length) {
    row(place, offset)
    let i = outer.length - 1
    for (; i >= 0; i--) {
      offset += strides[i]
      if (++at[i] < outer[i]) break
      offset -= strides[i] * outer[i]
      at[i] = 0
    }
    if (i < 0) return
  }
}

function strided(x, dims, strides, offset = 0) {
  const out = Tensor.of(dims, x.kind), o = out.data, a = x.data
  const n = dims.length ? dims[dims.length - 1] : 1, s = dims.length ? strides[dims.length - 1] : 0
  walk(dims, strides, offset, (place, at) => { for (let j = 0; j < n; j++, at += s) o[place + j] = a[at] })
  return out
}

function expand(x, dims) {
  const before = dims.length - x.dims.length, own = stridesOf(x.dims)
  const wanted = dims.map((d, i) => d === -1 ? x.dims[i - before] : d)
  if (sameDims(wanted, x.dims)) return x
  return strided(x, wanted, wanted.map((d, i) => i < before || x.dims[i - before] === 1 ? 0 : own[i - before]))
}

function together(...dims) {
  const rank = Math.max(...dims.map(d => d.length))
  return Array.from({ length: rank }, (_, i) => {
    const sizes = dims.map(d => d[i - rank + d.length] ?? 1)
    return sizes.find(d => d !== 1) ?? 1
  })
}

// A slice of one dimension: its offset, strides and dims.
function part(x, axis, start, end, step = 1) {
  const rank = x.dims.length, dims = [...x.dims], strides = stridesOf(x.dims), size = dims[axis = from(axis, rank)]
  const inside = v => Math.min(Math.max(v < 0 ? v + size : v, 0), size)
  start = inside(start ?? 0); end = inside(end ?? size)
  const offset = start * strides[axis]
  dims[axis] = Math.max(0, Math.ceil((end - start) / step)); strides[axis] *= step
  return { dims, strides, offset }
}

function constantOf(dims, kind, value) {
  const out = Tensor.of(dims, kind)
  out.data.fill(Number(value))
  return out
}

// Rows along an axis, [outer, n, inner], for what goes along it.
function along(x, axis) {
  axis = from(axis, x.dims.length)
  const inner = count(x.dims.slice(axis + 1)), n = x.dims[axis]
  return { n, inner, outer: count(x.dims.slice(0, axis)) }
}

function eachRow({ outer, n, inner }, row) {
  for (let i = 0; i < outer; i++) for (let j = 0; j < inner; j++) row(i * n * inner + j, i * inner + j)
}

// Reduces dimensions: `start` and `add` as of Array.reduce, `end` with how many there were.
function reduced(x, axes, keep, kind, start, add, end = v => v) {
  const rank = x.dims.length, over = axes == null || !axes.length ? x.dims.map((_, i) => i) : axes.map(d => from(d, rank))
  const rest = x.dims.map((_, i) => i).filter(i => !over.includes(i)), own = stridesOf(x.dims)
  const order = [...rest, ...over], rows = strided(x, order.map(i => x.dims[i]), order.map(i => own[i])).data
  const out = Tensor.of(keep ? x.dims.map((d, i) => over.includes(i) ? 1 : d) : rest.map(i => x.dims[i]), kind)
  const n = count(over.map(i => x.dims[i]))
  for (let i = 0; i < out.data.length; i++) {
    let v = start
    for (let j = i * n; j < (i + 1) * n; j++) v = add(v, rows[j])
    out.data[i] = end(v, n)
  }
  return out
}

function softmax(x, axis, kind, log) {
  const out = Tensor.of(x.dims, kind), a = x.data, o = out.data, rows = along(x, axis)
  eachRow(rows, at => {
    let most = -Infinity, sum = 0
    for (let i = 0; i < rows.n; i++) most = Math.max(most, a[at + i * rows.inner])
    for (let i = 0; i < rows.n; i++) sum += Math.exp(a[at + i * rows.inner] - most)
    const whole = Math.log(sum)
    for (let i = 0; i < rows.n; i++) {
      const v = a[at + i * rows.inner] - most
      o[at + i * rows.inner] = log ? v - whole : Math.exp(v) / sum
    }
  })
  return out
}

// Makes rows [outer, channels, inner] of mean 0 and deviation 1 over what `mean` and `variance` say of a row.
function normalised(x, outer, channels, inner, weight, bias, mean, variance, eps) {
  const out = Tensor.of(x.dims, 'f'), a = x.data, o = out.data
  for (let i = 0, at = 0; i < outer; i++) for (let c = 0; c < channels; c++) {
    const scale = (weight ? weight.data[c] : 1) / Math.sqrt(variance(i, c) + eps)
    const shift = (bias ? bias.data[c] : 0) - mean(i, c) * scale
    for (let j = 0; j < inner; j++, at++) o[at] = a[at] * scale + shift
  }
  return out
}

// Mean and variance of numbers begun at each of `starts`, `n` on.
function moments(a, starts, n) {
  let sum = 0, square = 0
  for (const at of starts) for (let j = 0; j < n; j++) sum += a[at + j]
  const mean = sum / (n * starts.length)
  for (const at of starts) for (let j = 0; j < n; j++) square += (a[at + j] - mean) ** 2
  return [mean, square / (n * starts.length)]
}

// Where the elements lie that indices (tensors, or null for all) name, and the dims of the whole.
function places(x, indices) {
  const named = indices.flatMap((t, i) => t ? [i] : []), own = stridesOf(x.dims)
  const joint = together(...named.map(i => indices[i].dims)), size = count(joint), at = new Float64Array(size)
  for (const i of named) {
    const v = expand(indices[i], joint).data
    for (let j = 0; j < size; j++) at[j] += (v[j] < 0 ? v[j] + x.dims[i] : v[j]) * own[i]
  }
  const free = x.dims.map((_, i) => i).filter(i => !named.includes(i))
  const beside = named.every((v, j) => j === 0 || v === named[j - 1] + 1), first = beside ? named[0] : 0
  const before = free.filter(i => i < first), after = free.filter(i => i >= first)
  const dims = [...before.map(i => x.dims[i]), ...joint, ...after.map(i => x.dims[i])]
  const all = new Float64Array(count(dims)), tail = after.map(i => x.dims[i])
  let place = 0
  const starts = (list, each) => list.length
    ? walk([...list.map(i => x.dims[i]), 1], [...list.map(i => own[i]), 0], 0, (_, offset) => each(offset)) : each(0)
  if (count(dims)) starts(before, b => { for (let j = 0; j < size; j++) starts(after, t => { all[place++] = b + at[j] + t }) })
  return { all, dims, tail }
}
