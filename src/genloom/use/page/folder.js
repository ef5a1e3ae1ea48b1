// A model's functions by name, and the loops over them: in numbers what `genloom sample` does.

const NEXT = '_next' // what a step remembers comes out by this name, and goes in without it; zeros at the start

// The constants of programs, of their bytes.
function constantsOf(told, buffer) {
  let at = 0
  const halves = halfFloats()
  return told.map(({ dims, kind, as, axis }) => {
    const n = count(dims), out = Tensor.of(dims, kind), o = out.data
    out.constant = true
    let bytes = n * (kind === 'b' ? 1 : kind === 'f' ? 4 : 8)
    if (as === 'fp16') {
      const low = new Uint8Array(buffer, at, n), high = new Uint8Array(buffer, at + n, n)
      for (let i = 0; i < n; i++) o[i] = halves[high[i] << 8 | low[i]]
      bytes = 2 * n
    } else if (as === 'int8') {
      const places = dims[axis], scale = new Float32Array(buffer, at, places), inner = count(dims.slice(axis + 1))
      const rounded = new Int8Array(buffer, at + 4 * places, n)
      for (let i = 0; i < n; i++) o[i] = rounded[i] * scale[Math.floor(i / inner) % places]
      bytes = 4 * places + n
    } else o.set(new (kind === 'i' ? Float64Array : ARRAYS[kind])(buffer, at, n))
    at += Math.ceil(bytes / 8) * 8
    return out
  })
}

function halfFloats() {
  return Float32Array.from({ length: 65536 }, (_, bits) => {
    const sign = bits >> 15 ? -1 : 1, exponent = bits >> 10 & 31, rest = bits & 1023
    return sign * (exponent ? exponent === 31 ? (rest ? NaN : Infinity) : (1 + rest / 1024) * 2 ** (exponent - 15) : rest / 1024 * 2 ** -14)
  })
}

// Rows `first` to `first + n` of [.., k] numbers, uniform in [0, 1): those of a row hang on the seed and the row's place.
function noise(seed, first, n, k) {
  const U = v => BigInt.asUintN(64, v), [ADD, FIRST, SECOND] = [0x9E3779B97F4A7C15n, 0xBF58476D1CE4E5B9n, 0x94D049BB133111EBn] // of splitmix64
  const mixed = x => {
    x = U((x ^ x >> 30n) * FIRST)
    x = U((x ^ x >> 27n) * SECOND)
    return x ^ x >> 31n
  }
  let state = U((ADD ^ U(BigInt(seed))) * FIRST)
  state = U((state ^ state >> 30n) * SECOND)
  const start = (state ^ state >> 31n) >> 1n
  const out = Tensor.of([n, k], 'f')
  for (let i = 0; i < n; i++) {
    const key = mixed(U(start + BigInt(first + i)))
    for (let j = 0; j < k; j++) out.data[i * k + j] = Number(mixed(U(key + U(BigInt(j + 1) * ADD))) >> 40n) / 2 ** 24
  }
  return out
}

class Folder {
  constructor(record, constants) {
    this.record = record
    this.constants = constants
    this.functions = Object.fromEntries(record.functions.map(each => [each.name, each]))
  }

  // Calls a function with tensors by name, and returns its outputs by name.
  call(name, given) {
    const { inputs, outputs, program } = this.functions[name]
    const found = run(program, inputs.map(port => given[port.name]), this.constants)
    return Object.fromEntries(outputs.map((port, i) => [port.name, found[i]]))
  }

  takes(name, port) { return this.functions[name]?.inputs.find(each => each.name === port)?.dims }

  // What functions remember, at the start.
  held(n, ...names) {
    const ports = names.flatMap(name => this.functions[name].inputs)
    return Object.fromEntries(ports.map(port => [port.name, Tensor.of(port.dims.map(d => d === 'n' ? n : d), kindOf(port))]))
  }

  // Calls a function with what is remembered, which it changes, and returns its outputs.
  step(name, held, given) {
    const found = this.call(name, { ...held, ...given })
    for (const [key, value] of Object.entries(found)) if (key.endsWith(NEXT)) held[key.slice(0, -NEXT.length)] = value
    return found
  }

  labels(first, n, label) {
    const classes = Math.max((this.record.shape.classes ?? []).length, 1)
    return new Tensor([n], Float64Array.from({ length: n }, (_, i) => label ?? (first + i) % classes), 'i')
  }

  // Codes of rows `first` to `first + n`, as a seed stands for them.
  codes(seed, first, n) { return this.call('prior', { u: noise(seed, first, n, this.takes('prior', 'u')[1]) }).z }

  // Pictures [n, C, H, W], pixel by pixel; levels `known` that are not -1 stay. `seen` is called with levels now and then.
  async pixels(seed, n, y, known, temperature, seen) {
    const { channels: c, height: h, width_px: w } = this.record.shape, u = noise(seed, 0, n, c * h * w)
    const levels = new Tensor([n, c, h, w], new Float64Array(n * c * h * w).fill(-1), 'i')
    const at = (x, i, j, kind) => new Tensor([n, c], ARRAYS[kind].from({ length: n * c }, (_, k) => x[(k * h + i) * w + j]), kind)
    const scalar = v => constantOf([], 'i', v), held = { ...this.held(n, 'next_row', 'next_pixel'), y, temperature: constantOf([], 'f', temperature) }
    for (let i = 0; i < h; i++) {
      this.step('next_row', held, { place: scalar(i) })
      for (let j = 0; j < w; j++) {
        const fixed = known ? at(known, i, j, 'i') : constantOf([n, c], 'i', -1)
        const found = this.step('next_pixel', held, { place: scalar(j), u: at(u.data, i, j, 'f'), fixed })
        found.levels.data.forEach((v, k) => { levels.data[(k * h + i) * w + j] = v })
        await seen(levels, (i * w + j + 1) / (h * w))
      }
    }
    return levels
  }

  // Music [n, steps, V] as codes; those of `voices` that are not -1 stay.
  async compose(seed, n, steps, told, voices, temperature, seen) {
    const v = this.takes('next_step', 'u')[1], u = noise(seed, 0, n, steps * v)
    const codes = new Tensor([n, steps, v], new Float64Array(n * steps * v), 'i')
    const at = (x, t, kind) => new Tensor([n, v], ARRAYS[kind].from({ length: n * v }, (_, k) => x[(Math.floor(k / v) * steps + t) * v + k % v]), kind)
    const held = { ...this.held(n, 'next_step'), told, temperature: constantOf([], 'f', temperature) }
    for (let t = 0; t < steps; t++) {
      const fixed = voices ? at(voices, t, 'i') : constantOf([n, v], 'i', -1)
      const found = this.step('next_step', held, { u: at(u.data, t, 'f'), beat: constantOf([n], 'i', t % this.record.bar), fixed })
      found.codes.data.forEach((code, k) => { codes.data[(Math.floor(k / v) * steps + t) * v + k % v] = code })
      await seen(codes, (t + 1) / steps)
    }
    return codes
  }
}

const kindOf = port => ({ float32: 'f', float64: 'd', bool: 'b' })[port.kind] ?? 'i'
