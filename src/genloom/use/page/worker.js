// The page's worker: it unpacks the model and does what the page asks, in parts, so that it can be told to stop.

const CHUNK = 120 // milliseconds that a part may take
let folder
const stopped = new Set()

const tensor = t => new Tensor(t.dims, ARRAYS[t.kind].from(t.data), t.kind)
const others = () => new Promise(done => { const way = new MessageChannel(); way.port1.onmessage = done; way.port2.postMessage(0) })

async function bytesOf(text) {
  const packed = Uint8Array.from(atob(text), c => c.charCodeAt(0))
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer()
}

const TASKS = {
  async load({ record, weights, kernel }) {
    const module = await WebAssembly.instantiate(Uint8Array.from(atob(kernel), c => c.charCodeAt(0)), { page: { memory } })
    gemm = module.instance.exports.gemm
    folder = new Folder(record, constantsOf(record.constants, await bytesOf(weights)))
  },

  // Examples of a seed, in parts {first, x, z}.
  async draw({ seed, n, label }, part) {
    const last = folder.functions.sample ? 'sample' : 'generate', [, k] = folder.takes('sample', 'u') ?? []
    for (let first = 0, many = 1; first < n;) {
      const count = Math.min(many, n - first), began = performance.now()
      const given = last === 'sample' ? { u: noise(seed, first, count, k) }
        : { z: folder.codes(seed, first, count), y: folder.labels(first, count, label) }
      await part({ first, ...given, ...folder.call(last, given) })
      first += count
      many = Math.max(1, Math.min(64, Math.floor(count * CHUNK / Math.max(1, performance.now() - began))))
    }
  },

  // Pictures pixel by pixel, as levels so far; `known` levels that are not -1 stay.
  async pixels({ seed, n, label, known, temperature }, part) {
    const levels = await folder.pixels(seed, n, folder.labels(0, n, label), known?.data, temperature, now(part))
    return { levels }
  },

  async compose({ seed, steps, told, voices, temperature }, part) {
    const codes = await folder.compose(seed, 1, steps, tensor(told), voices?.data, temperature, now(part))
    return { codes }
  },

  async call({ name, given }) {
    const inputs = Object.fromEntries(Object.entries(given).map(([key, t]) => [key, tensor(t)]))
    return folder.call(name, inputs)
  },

  // Numbers of a seed, for functions that take some.
  async noise({ seed, n, k }) { return { u: noise(seed, 0, n, k) } }
}

// Hands on what there is so far some twenty times a second, and lets the page speak in between.
function now(part) {
  let last = performance.now()
  return async (x, share) => {
    if (performance.now() - last < 50) return
    await part({ x, share })
    last = performance.now()
  }
}

onmessage = async ({ data: { id, task, given, stop } }) => {
  if (stop) return stopped.add(stop)
  const part = async found => {
    postMessage({ id, part: found })
    await others() // messages of the page
    if (stopped.has(id)) throw new Error('stopped')
  }
  try {
    postMessage({ id, done: await TASKS[task](given, part) ?? {} })
  } catch (error) {
    postMessage({ id, stopped: stopped.delete(id), error: String(error.message ?? error) })
  }
}
