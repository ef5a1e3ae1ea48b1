// Runs lists of torch's operators. Those that go number by number are `LOOPS`, written before this; here are the others:
// what they take, in torch's order, and the kind of numbers of what they give.

const tensorOf = (v, kind) => v instanceof Tensor ? v : constantOf([], kind, v)

const OPERATORS = {
  '+': ([a, b]) => a + b,
  '-': ([a, b]) => a - b,
  '*': ([a, b]) => a * b,
  '//': ([a, b]) => Math.floor(a / b),
  item: ([values, i]) => values[i],
  sym_size: ([x, axis]) => x.dims[from(axis, x.dims.length)],
  view: ([x, dims]) => {
    const known = -count(dims), whole = count(x.dims)
    return x.as(dims.map(d => d === -1 ? whole / known : d))
  },
  unsqueeze: ([x, axis]) => x.as(x.dims.toSpliced(from(axis, x.dims.length + 1), 0, 1)),
  squeeze: ([x, axes]) => {
    const over = axes.map(a => from(a, x.dims.length))
    return x.as(x.dims.filter((d, i) => d !== 1 || !over.includes(i)))
  },
  permute: ([x, order]) => {
    const own = stridesOf(x.dims), by = order.map(i => from(i, x.dims.length))
    return strided(x, by.map(i => x.dims[i]), by.map(i => own[i]))
  },
  expand: ([x, dims]) => expand(x, dims),
  repeat: ([x, times]) => {
    let dims = [...new Array(times.length - x.dims.length).fill(1), ...x.dims], now = x.as(dims)
    times.forEach((n, axis) => { if (n !== 1) now = OPERATORS.cat([new Array(n).fill(now), axis], x.kind) })
    return now
  },
  flip: ([x, axes]) => {
    const strides = stridesOf(x.dims), over = axes.map(a => from(a, x.dims.length))
    const offset = over.reduce((sum, a) => sum + (x.dims[a] - 1) * strides[a], 0)
    return strided(x, x.dims, strides.map((s, i) => over.includes(i) ? -s : s), offset)
  },
  slice: ([x, axis, start, end, step]) => {
    const found = part(x, axis, start, end, step)
    return strided(x, found.dims, found.strides, found.offset)
  },
  select: ([x, axis, at]) => {
    axis = from(axis, x.dims.length)
    const found = part(x, axis, at < 0 ? at + x.dims[axis] : at, (at < 0 ? at + x.dims[axis] : at) + 1)
    return strided(x, found.dims, found.strides, found.offset).as(x.dims.toSpliced(axis, 1))
  },
  slice_scatter: ([x, src, axis, start, end, step]) => {
    const out = new Tensor(x.dims, x.data.slice(), x.kind), { dims, strides, offset } = part(x, axis, start, end, step)
    const n = dims[dims.length - 1], s = strides[dims.length - 1], a = expand(src, dims).data
    walk(dims, strides, offset, (place, at) => { for (let j = 0; j < n; j++, at += s) out.data[at] = a[place + j] })
    return out
  },
  cat: ([parts, axis], kind) => {
    parts = parts.filter(t => t.dims.length > 1 || t.dims[0] !== 0)
    const dims = [...parts[0].dims]
    axis = from(axis, dims.length)
    dims[axis] = parts.reduce((sum, t) => sum + t.dims[axis], 0)
    const out = Tensor.of(dims, kind), inner = count(dims.slice(axis + 1)), row = dims[axis] * inner
    let start = 0
    for (const t of parts) {
      const wide = t.dims[axis] * inner
      for (let i = 0; i * wide < t.data.length; i++) out.data.set(t.data.subarray(i * wide, (i + 1) * wide), i * row + start)
      start += wide
    }
    return out
  },
  split_with_sizes: ([x, sizes, axis]) => {
    let at = 0
    return sizes.map(n => OPERATORS.slice([x, axis ?? 0, at, at += n, 1]))
  },
  constant_pad_nd: ([x, pad, value], kind) => {
    const rank = x.dims.length, by = i => rank - 1 - i < pad.length / 2 ? pad.slice(2 * (rank - 1 - i), 2 * (rank - i)) : [0, 0]
    let now = x
    x.dims.forEach((_, i) => {
      const [less, more] = by(i), side = n => constantOf(now.dims.map((d, j) => j === i ? n : d), kind, value)
      if (less < 0 || more < 0) now = OPERATORS.slice([now, i, Math.max(0, -less), now.dims[i] + Math.min(0, more), 1])
      if (less > 0 || more > 0) now = OPERATORS.cat([[side(Math.max(0, less)), now, side(Math.max(0, more))], i], kind)
    })
    return now
  },
  upsample_nearest2d: ([x, size, scales], kind) => {
    const [n, c, h, w] = x.dims, [oh, ow] = size ?? [Math.floor(h * scales[0]), Math.floor(w * scales[1])]
    const out = Tensor.of([n, c, oh, ow], kind), ky = scales ? 1 / scales[0] : h / oh, kx = scales ? 1 / scales[1] : w / ow
    for (let i = 0, to = 0; i < n * c; i++) for (let y = 0; y < oh; y++) for (let z = 0; z < ow; z++, to++) {
      out.data[to] = x.data[(i * h + Math.min(h - 1, Math.floor(y * ky))) * w + Math.min(w - 1, Math.floor(z * kx))]
    }
    return out
  },
  full: ([dims, value], kind) => constantOf(dims, kind, value),
  full_like: ([x, value], kind) => constantOf(x.dims, kind, value),
  empty: ([dims], kind) => Tensor.of(dims, kind),
  arange: ([start, end, step], kind) =>
    new Tensor([Math.ceil((end - start) / step)], ARRAYS[kind].from({ length: Math.ceil((end - start) / step) }, (_, i) => start + i * step), kind),
  copy: ([x, src], kind) => new Tensor(x.dims, ARRAYS[kind].from(expand(src, x.dims).data), kind),
  _to_copy: ([x], kind) => {
    const of = kind === 'b' ? v => v !== 0 : kind === 'i' ? Math.trunc : v => v
    return new Tensor(x.dims, ARRAYS[kind].from(x.data, of), kind)
  },
  where: ([test, x, y], kind) => {
    const two = [tensorOf(x, kind), tensorOf(y, kind)], dims = together(test.dims, two[0].dims, two[1].dims)
    const out = Tensor.of(dims, kind), [c, a, b] = [test, ...two].map(t => expand(t, dims).data)
    for (let i = 0; i < out.data.length; i++) out.data[i] = c[i] ? a[i] : b[i]
    return out
  },
  index: ([x, indices], kind) => {
    const { all, dims } = places(x, indices)
    return new Tensor(dims, ARRAYS[kind].from(all, i => x.data[i]), kind)
  },
  index_put: ([x, indices, src, add]) => {
    if (indices.length === 1 && indices[0].kind === 'b' && src.data.length === 1) return OPERATORS.where([indices[0], src, x], x.kind)
    const out = new Tensor(x.dims, x.data.slice(), x.kind), { all, dims } = places(x, indices), a = expand(src, dims).data
    for (let i = 0; i < all.length; i++) out.data[all[i]] = add ? out.data[all[i]] + a[i] : a[i]
    return out
  },
  index_select: ([x, axis, index], kind) => {
    const indices = x.dims.map(() => null)
    indices[from(axis, x.dims.length)] = index.as([index.data.length])
    return OPERATORS.index([x, indices], kind)
  },
  embedding: ([table, index], kind) => OPERATORS.index([table, [index]], kind),
  gather: ([x, axis, index], kind) => {
    const out = Tensor.of(index.dims, kind), own = stridesOf(x.dims), at = from(axis, x.dims.length)
    const start = new Tensor(x.dims, Float64Array.from({ length: x.data.length }, (_, i) => i - own[at] * (Math.floor(i / own[at]) % x.dims[at])), 'i')
    const base = strided(start, index.dims, own)
    for (let i = 0; i < out.data.length; i++) out.data[i] = x.data[base.data[i] + index.data[i] * own[at]]
    return out
  },
  scatter: ([x, axis, index, value]) => scattered(x, axis, index, () => value, false),
  scatter_add: ([x, axis, index, src]) => {
    const a = strided(src, index.dims, stridesOf(src.dims)).data
    return scattered(x, axis, index, i => a[i], true)
  },
  sum: ([x, axes, keep], kind) => reduced(x, axes, keep, kind, 0, (v, a) => v + a),
  mean: ([x, axes, keep], kind) => reduced(x, axes, keep, kind, 0, (v, a) => v + a, (v, n) => v / n),
  amax: ([x, axes, keep], kind) => reduced(x, axes, keep, kind, -Infinity, Math.max),
  linalg_vector_norm: ([x, , axes, keep], kind) => reduced(x, axes, keep, kind, 0, (v, a) => v + a * a, Math.sqrt),
  argmax: ([x, axis, keep], kind) => {
    const rows = along(x, axis), dims = x.dims.toSpliced(from(axis, x.dims.length), 1, ...(keep ? [1] : [])), out = Tensor.of(dims, kind)
    eachRow(rows, (at, to) => {
      for (let i = 1; i < rows.n; i++) {
        const v = x.data[at + i * rows.inner], most = x.data[at + out.data[to] * rows.inner]
        if (v > most || (v !== v && most === most)) out.data[to] = i // what is no number is the largest
      }
    })
    return out
  },
  cumsum: ([x, axis], kind) => {
    const out = Tensor.of(x.dims, kind), rows = along(x, axis)
    eachRow(rows, at => {
      let sum = 0
      for (let i = 0; i < rows.n; i++, at += rows.inner) out.data[at] = sum += x.data[at]
    })
    return out
  },
  _softmax: ([x, axis], kind) => softmax(x, axis, kind, false),
  _log_softmax: ([x, axis], kind) => softmax(x, axis, kind, true),
  _native_batch_norm_legit_no_training: ([x, w, b, mean, variance, , eps]) => {
    const [n, c] = x.dims
    return [normalised(x, n, c, count(x.dims.slice(2)), w, b, (_, q) => mean.data[q], (_, q) => variance.data[q], eps)]
  },
  _native_batch_norm_legit: ([x, w, b, , , eps]) => {
    const [n, c] = x.dims, inner = count(x.dims.slice(2)), starts = q => Array.from({ length: n }, (_, i) => (i * c + q) * inner)
    const found = Array.from({ length: c }, (_, q) => moments(x.data, starts(q), inner))
    return [normalised(x, n, c, inner, w, b, (_, q) => found[q][0], (_, q) => found[q][1], eps)]
  },
  native_layer_norm: ([x, dims, w, b, eps]) => {
    const inner = count(dims), rows = x.data.length / inner, out = Tensor.of(x.dims, 'f')
    for (let i = 0; i < rows; i++) {
      const [mean, variance] = moments(x.data, [i * inner], inner), by = Math.sqrt(variance + eps)
      for (let j = 0; j < inner; j++) out.data[i * inner + j] = (x.data[i * inner + j] - mean) / by * (w ? w.data[j] : 1) + (b ? b.data[j] : 0)
    }
    return [out]
  },
  mm: ([x, y]) => matrices(x, y),
  addmm: ([bias, x, y]) => {
    const out = matrices(x, y)
    return plus(out, bias.dims.length > 1 ? expand(bias, out.dims) : bias)
  },
  bmm: ([x, y]) => {
    const [n, m, k] = x.dims, wide = y.dims[2], out = Tensor.of([n, m, wide], 'f')
    for (let i = 0; i < n; i++) product(rowsOf(x, i * m * k, m * k), panelsOf(y, k, wide, wide, 1, i * k * wide), m, k, wide, out.data, i * m * wide)
    return out
  },
  convolution: ([x, weight, bias, stride, padding, dilation, turned, extra, groups], kind) => turned
    ? transposed(x, weight, bias, stride, padding, dilation, extra, groups, kind)
    : convolution(x, weight, bias, stride, padding, dilation, groups, kind),
  gru: ([x, held, weights, biased, depth, , , both, batchFirst]) => layers(x, [held], weights, biased, depth, both, batchFirst, gru),
  lstm: ([x, held, weights, biased, depth, , , both, batchFirst]) => layers(x, held, weights, biased, depth, both, batchFirst, lstm),
}

function scattered(x, axis, index, value, add) {
  const out = new Tensor(x.dims, x.data.slice(), x.kind), own = stridesOf(x.dims), at = from(axis, x.dims.length)
  const step = own[at], n = index.dims.length ? index.dims[index.dims.length - 1] : 1, along = at === index.dims.length - 1
  walk(index.dims, own.map((s, i) => i === at ? 0 : s), 0, (place, base) => {
    for (let j = 0; j < n; j++) {
      const to = base + (along ? 0 : j * own[own.length - 1]) + index.data[place + j] * step
      out.data[to] = add ? out.data[to] + value(place + j) : value(place + j)
    }
  })
  return out
}

// What goes number by number, by the loop of its name.
function byNumber(name, args, kind) {
  const loop = LOOPS[name], by = LOOPS[`${name}_by`]
  let [x, y, p = 1] = args
  if (!by) {
    const out = Tensor.of(x.dims, kind)
    const [low, high] = [y ?? -Infinity, args[2] ?? Infinity]
    loop(out.data, x.data, x.kind === 'f' ? Math.fround(low) : low, x.kind === 'f' ? Math.fround(high) : high)
    return out
  }
  x = tensorOf(x, kind)
  if (!(y instanceof Tensor) || (y.data.length === 1 && y.dims.length <= x.dims.length)) {
    const out = Tensor.of(x.dims, kind)
    const by_ = y instanceof Tensor ? y.data[0] : Number(y)
    by(out.data, x.data, x.kind === 'f' ? Math.fround(by_) : by_, p) // which torch has in fp32 too
    return out
  }
  const dims = together(x.dims, y.dims), out = Tensor.of(dims, kind)
  loop(out.data, expand(x, dims).data, expand(y, dims).data, p)
  return out
}

// -- programs -------------------------------------------------------------------------------------

// Runs a program on its inputs. Steps are [name, kind, args]; "%3" is a value by number, inputs first, "#3" a constant.
function run(program, inputs, constants) {
  const values = [...inputs]
  const of = v => Array.isArray(v) ? v.map(of) : typeof v !== 'string' ? v
    : v[0] === '%' ? values[+v.slice(1)] : v[0] === '#' ? constants[+v.slice(1)] : Number(v)
  program.last ??= lastUses(program)
  program.steps.forEach(([name, kind, args], i) => {
    const given = args.map(of)
    values.push(LOOPS[name] || LOOPS[`${name}_by`] ? byNumber(name, given, kind) : OPERATORS[name](given, kind))
    for (const done of program.last[i]) values[done] = undefined
  })
  return program.outputs.map(of)
}

// Which values are used for the last time by each step.
function lastUses(program) {
  const last = new Map(), uses = (v, i) => {
    if (Array.isArray(v)) v.forEach(each => uses(each, i))
    else if (typeof v === 'string' && v[0] === '%') last.set(+v.slice(1), i)
  }
  program.steps.forEach(([, , args], i) => uses(args, i))
  for (const v of program.outputs) uses(v, -1)
  const done = program.steps.map(() => [])
  for (const [value, i] of last) if (i >= 0) done[i].push(value)
  return done
}
