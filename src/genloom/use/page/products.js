// Matrix products, convolutions and recurrent cells, all by one product in WebAssembly.

const memory = new WebAssembly.Memory({ initial: 16 })
const PANEL = 8, COLUMNS = 256 // of a product that is worked out at a time, of a convolution
let gemm, free = 0
const scratch = { a: [0, 0], b: [0, 0], c: [0, 0] }, resident = new WeakMap()

function reserve(numbers) {
  const at = free
  free += Math.ceil(numbers / 4) * 16
  const short = free - memory.buffer.byteLength
  if (short > 0) memory.grow(Math.ceil(short / 65536))
  return at
}

function room(name, numbers) {
  if (scratch[name][1] < numbers) scratch[name] = [reserve(numbers), numbers]
  return scratch[name][0]
}

const view = (at, numbers) => new Float32Array(memory.buffer, at, numbers)

// Where a matrix lies for the product: constants lie there for good, by `how` they lie.
function placed(x, name, how, numbers, write) {
  const known = x.constant && (resident.get(x.data) ?? resident.set(x.data, {}).get(x.data))
  if (known && known[how] !== undefined) return known[how]
  const at = x.constant ? reserve(numbers) : room(name, numbers)
  write(view(at, numbers))
  if (known) known[how] = at
  return at
}

const rowsOf = (x, first, numbers) =>
  placed(x, 'a', `rows ${first} ${numbers}`, numbers, to => to.set(x.data.subarray(first, first + numbers)))

// Panels of a matrix [k, n] whose places along k and n lie `sk` and `sn` apart.
function panelsOf(x, k, n, sk, sn, first = 0) {
  const panels = Math.ceil(n / PANEL), a = x.data
  return placed(x, 'b', `panels ${first} ${k} ${n} ${sk} ${sn}`, panels * k * PANEL, to => {
    for (let p = 0; p < panels; p++) {
      const wide = Math.min(PANEL, n - p * PANEL), start = first + p * PANEL * sn
      for (let i = 0, at = p * k * PANEL; i < k; i++, at += PANEL) {
        for (let j = 0; j < wide; j++) to[at + j] = a[start + i * sk + j * sn]
        for (let j = wide; j < PANEL; j++) to[at + j] = 0
      }
    }
  })
}

// [m, k] at a times k x n in panels at b, into `out` from `start`.
function product(a, b, m, k, n, out, start = 0) {
  const panels = Math.ceil(n / PANEL), wide = panels * PANEL, c = room('c', m * wide)
  if (k) gemm(a, 4 * k, b, c, 4 * wide, m, panels, k)
  const found = view(c, m * wide)
  if (!k) found.fill(0)
  if (wide === n) out.set(found, start)
  else for (let i = 0; i < m; i++) out.set(found.subarray(i * wide, i * wide + n), start + i * n)
}

function matrices(x, y, transposed = false) { // [m, k] times [k, n], or [n, k]
  const [m, k] = x.dims, n = y.dims[transposed ? 0 : 1], out = Tensor.of([m, n], 'f')
  const b = panelsOf(y, k, n, transposed ? 1 : n, transposed ? k : 1)
  product(rowsOf(x, 0, m * k), b, m, k, n, out.data)
  return out
}

function plus(x, bias) { // row by row, or all at once
  const o = x.data, n = bias.data.length
  for (let i = 0; i < o.length; i += n) for (let j = 0; j < n; j++) o[i + j] += bias.data[j]
  return x
}

// Calls `each(first, wide)` for columns of a product, some at a time.
function byColumns(columns, each) {
  for (let first = 0; first < columns; first += COLUMNS) each(first, Math.min(COLUMNS, columns - first))
}

function convolution(x, weight, bias, [sy, sx], [py, px], [dy, dx], groups, kind) {
  const [n, c, h, w] = x.dims, [outs, ins, kh, kw] = weight.dims, each = outs / groups
  const oh = Math.floor((h + 2 * py - dy * (kh - 1) - 1) / sy) + 1, ow = Math.floor((w + 2 * px - dx * (kw - 1) - 1) / sx) + 1
  const out = Tensor.of([n, outs, oh, ow], kind), o = out.data, a = x.data, k = ins * kh * kw, plane = h * w, made = oh * ow
  const b = room('b', Math.ceil(COLUMNS / PANEL) * PANEL * k)
  for (let g = 0; g < groups; g++) {
    const rows = rowsOf(weight, g * each * k, each * k)
    byColumns(n * made, (first, wide) => {
      const c8 = Math.ceil(wide / PANEL), panels = view(b, c8 * k * PANEL), at = new Int32Array(PANEL)
      for (let p = 0; p < c8; p++) for (let v = 0; v < kh; v++) for (let u = 0; u < kw; u++) {
        for (let j = 0; j < PANEL; j++) {
          const column = first + p * PANEL + j, i = Math.floor(column / made), rest = column % made
          const y = Math.floor(rest / ow) * sy - py + v * dy, z = (rest % ow) * sx - px + u * dx
          const outside = p * PANEL + j >= wide || y < 0 || y >= h || z < 0 || z >= w
          at[j] = outside ? -1 : ((i * c + g * ins) * h + y) * w + z
        }
        const to = p * k * PANEL + (v * kw + u) * PANEL, step = kh * kw * PANEL
        for (let q = 0; q < ins; q++) for (let j = 0; j < PANEL; j++) {
          panels[to + q * step + j] = at[j] < 0 ? 0 : a[at[j] + q * plane]
        }
      }
      const found = room('c', each * c8 * PANEL), long = c8 * PANEL
      gemm(rows, 4 * k, b, found, 4 * long, each, c8, k)
      const sums = view(found, each * long)
      for (let q = 0; q < each; q++) {
        const channel = g * each + q, add = bias ? bias.data[channel] : 0
        for (let j = 0; j < wide;) {
          const i = Math.floor((first + j) / made), rest = (first + j) % made, run = Math.min(wide - j, made - rest)
          const to = (i * outs + channel) * made + rest - j
          for (const end = j + run; j < end; j++) o[to + j] = sums[q * long + j] + add
        }
      }
    })
  }
  return out
}

function transposed(x, weight, bias, [sy, sx], [py, px], [dy, dx], [ey, ex], groups, kind) {
  const [n, c, h, w] = x.dims, [, each, kh, kw] = weight.dims, outs = each * groups, ins = c / groups
  const oh = (h - 1) * sy - 2 * py + dy * (kh - 1) + ey + 1, ow = (w - 1) * sx - 2 * px + dx * (kw - 1) + ex + 1
  const out = Tensor.of([n, outs, oh, ow], kind), o = out.data, a = x.data, plane = h * w, made = oh * ow, taps = kh * kw
  if (bias) for (let i = 0; i < n; i++) for (let q = 0; q < outs; q++) o.fill(bias.data[q], (i * outs + q) * made, (i * outs + q + 1) * made)
  const m = each * taps, b = room('b', Math.ceil(COLUMNS / PANEL) * PANEL * ins), at = new Int32Array(COLUMNS)
  for (let g = 0; g < groups; g++) {
    const rows = placed(weight, 'a', `turned ${g} ${ins} ${m}`, m * ins, to => {
      for (let q = 0; q < ins; q++) for (let r = 0; r < m; r++) to[r * ins + q] = weight.data[(g * ins + q) * m + r]
    })
    byColumns(n * plane, (first, wide) => {
      const c8 = Math.ceil(wide / PANEL), panels = view(b, c8 * ins * PANEL), long = c8 * PANEL
      for (let j = 0; j < long; j++) {
        const i = Math.floor((first + j) / plane), start = (i * c + g * ins) * plane + (first + j) % plane
        const to = Math.floor(j / PANEL) * ins * PANEL + j % PANEL
        for (let q = 0; q < ins; q++) panels[to + q * PANEL] = j < wide ? a[start + q * plane] : 0
      }
      const found = room('c', m * long)
      gemm(rows, 4 * ins, b, found, 4 * long, m, c8, ins)
      const sums = view(found, m * long)
      for (let tap = 0; tap < taps; tap++) {
        const v = Math.floor(tap / kw) * dy - py, u = tap % kw * dx - px
        for (let j = 0; j < wide; j++) {
          const i = Math.floor((first + j) / plane), rest = (first + j) % plane
          const y = Math.floor(rest / w) * sy + v, z = rest % w * sx + u
          at[j] = y < 0 || y >= oh || z < 0 || z >= ow ? -1 : (i * outs + g * each) * made + y * ow + z
        }
        for (let q = 0; q < each; q++) for (let j = 0; j < wide; j++) {
          if (at[j] >= 0) o[at[j] + q * made] += sums[(q * taps + tap) * long + j]
        }
      }
    })
  }
  return out
}

// -- recurrent cells ------------------------------------------------------------------------------

const sigmoid = x => 1 / (1 + Math.exp(-x))

// A layer over x [t, n, k] in one direction, from `held` (tensors [n, d]), which it changes; gates as torch orders them.
function recurrent(x, held, [wi, wh, bi, bh], backwards, cell) {
  const [t, n, k] = x.dims, d = held[0].dims[1], gates = wi.dims[0], out = Tensor.of([t, n, d], 'f')
  const given = matrices(x.as([t * n, k]), wi, true)
  if (bi) plus(given, bi)
  for (let s = 0; s < t; s++) {
    const now = backwards ? t - 1 - s : s, own = matrices(held[0], wh, true)
    if (bh) plus(own, bh)
    for (let i = 0; i < n; i++) cell(given.data, (now * n + i) * gates, own.data, i * gates, d, held, i * d)
    out.data.set(held[0].data, now * n * d)
  }
  return out
}

function gru(a, at, b, bt, d, [h], o) {
  for (let j = 0; j < d; j++) {
    const r = sigmoid(a[at + j] + b[bt + j]), z = sigmoid(a[at + d + j] + b[bt + d + j])
    const n = Math.tanh(a[at + 2 * d + j] + r * b[bt + 2 * d + j])
    h.data[o + j] = (1 - z) * n + z * h.data[o + j]
  }
}

function lstm(a, at, b, bt, d, [h, c], o) {
  for (let j = 0; j < d; j++) {
    const [i, f, g, u] = [0, 1, 2, 3].map(q => a[at + q * d + j] + b[bt + q * d + j])
    c.data[o + j] = sigmoid(f) * c.data[o + j] + sigmoid(i) * Math.tanh(g)
    h.data[o + j] = sigmoid(u) * Math.tanh(c.data[o + j])
  }
}

function layers(x, states, weights, biased, depth, both, batchFirst, cell) {
  const turned = t => strided(t, [t.dims[1], t.dims[0], t.dims[2]], [t.dims[2], t.dims[0] === 0 ? 0 : t.dims[1] * t.dims[2], 1])
  const ways = both ? 2 : 1, per = biased ? 4 : 2, last = states.map(s => Tensor.of(s.dims, 'f'))
  let now = batchFirst ? turned(x) : x
  for (let layer = 0; layer < depth; layer++) {
    const outs = []
    for (let way = 0; way < ways; way++) {
      const place = layer * ways + way, [, n, d] = states[0].dims
      const held = states.map(s => new Tensor([n, d], s.data.slice(place * n * d, (place + 1) * n * d), 'f'))
      outs.push(recurrent(now, held, weights.slice(place * per, place * per + per), way === 1, cell))
      held.forEach((h, i) => last[i].data.set(h.data, place * n * d))
    }
    now = ways === 1 ? outs[0] : OPERATORS.cat([outs, 2], 'f')
  }
  return [batchFirst ? turned(now) : now, ...last]
}
