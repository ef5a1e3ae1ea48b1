// The page: what every part of it stands on.

const find = id => document.getElementById(id)
const record = JSON.parse(find('record').textContent)
const functions = Object.fromEntries(record.functions.map(each => [each.name, each]))
const { shape } = record
const SECTIONS = [] // functions that add a part of the page

// Makes an element: attributes by name, `on...` functions, and children.
function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value)
    else if (value === true) made.setAttribute(name, '')
    else if (value !== false && value != null) made.setAttribute(name, value)
  }
  made.append(...children.flat())
  return made
}

let fading

// Tells something at the foot of the page; what is not wrong goes away by itself.
function say(text, wrong = false) {
  clearTimeout(fading)
  find('status').textContent = text
  find('status').classList.toggle('wrong', wrong)
  if (!wrong && text) fading = setTimeout(() => say(''), 6000)
}

// -- the worker -----------------------------------------------------------------------------------

const engine = {
  waiting: new Map(), lanes: {}, last: 0,

  async start() {
    const packed = Uint8Array.from(atob(find('engine').textContent), c => c.charCodeAt(0))
    const code = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'))).blob()
    this.worker = new Worker(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })))
    this.worker.onerror = event => say(`This browser cannot run the model: ${event.message}`, true)
    this.worker.onmessage = ({ data }) => {
      const asked = this.waiting.get(data.id)
      if (data.part) return asked.stopped || asked.part?.(data.part)
      this.waiting.delete(data.id)
      if (data.error) asked.fail(Object.assign(new Error(data.error), { stopped: data.stopped }))
      else asked.done(data.done)
    }
    const kernel = find('kernel').textContent.trim(), weights = find('weights').textContent.trim()
    return this.ask('load', { record, kernel, weights })
  },

  // Asks for a task, and returns what it gives; `part` is called with what there is on the way.
  ask(task, given, part) { return this.begun(task, given, part).promise },

  begun(task, given, part) {
    const asked = { id: ++this.last, part }
    asked.promise = new Promise((done, fail) => Object.assign(asked, { done, fail }))
    this.waiting.set(asked.id, asked)
    this.worker.postMessage({ id: asked.id, task, given })
    return asked
  },

  // As `ask`, one at a time in a lane: a newer one stops what runs there. Returns undefined for one that a person stopped,
  // and null for one that a newer one did.
  async newest(lane, task, given, part) {
    const place = this.lanes[lane] ??= {}, mine = place.wanted = {}
    if (place.running) {
      place.running.stopped = true
      this.worker.postMessage({ stop: place.running.id })
      await place.running.promise.catch(() => {})
      if (place.wanted !== mine) return null
    }
    const asked = place.running = this.begun(task, given, part)
    try {
      const found = await asked.promise
      return asked.stopped ? asked.ended ? undefined : null : found
    } catch (error) {
      if (error.stopped) return asked.ended ? undefined : null
      say(`That went wrong: ${error.message}`, true)
      throw error
    } finally {
      if (place.running === asked) place.running = undefined
    }
  },

  stop(lane) {
    const running = this.lanes[lane]?.running
    if (!running) return
    running.stopped = running.ended = true
    this.worker.postMessage({ stop: running.id })
  }
}

const tensor = (dims, data, kind = 'f') => ({ dims, data, kind })
const count = dims => dims.reduce((n, d) => n * d, 1)

// Example `i` of x, alone.
function one(x, i) {
  const size = count(x.dims.slice(1))
  return tensor([1, ...x.dims.slice(1)], x.data.slice(i * size, (i + 1) * size), x.kind)
}

// Notes when the first example was seen, for who measures.
function firstShown() { if (!performance.getEntriesByName('first picture').length) performance.mark('first picture') }

// -- controls -------------------------------------------------------------------------------------

const state = new URLSearchParams(location.hash.slice(1)) // what is set stands in the address, for a link or a reload

// Keeps what a control is set to in the address, by a name, and sets it to what stands there.
function kept(name, control) {
  const known = !control.options || [...control.options].some(each => each.value === state.get(name))
  if (state.has(name) && known) control.value = state.get(name)
  control.addEventListener('change', () => { state.set(name, control.value); location.replace(`#${state}`) })
  return control
}

let made = 0

function field(label, control) {
  control.id = control.id || `control-${++made}`
  return h('div', { class: 'field' }, h('label', { for: control.id }, label), control)
}

function choice(options, value, onchange) { // of [value, text]
  return h('select', { onchange }, options.map(([v, text]) => h('option', { value: v, selected: String(v) === String(value) }, text)))
}

const button = (text, onclick, more = {}) => h('button', { type: 'button', onclick, ...more }, text)

// A seed, a whole number of 63 bits as `genloom` takes it, with a button for another one. Its value is a text.
function seedField(changed, name) {
  let used = '0'
  const take = first => {
    const text = input.value.trim(), whole = /^[+-]?\d{1,19}$/.test(text) ? BigInt(text) : undefined
    if (whole === undefined || BigInt.asIntN(64, whole) !== whole) say(`A seed is a whole number, so ${used} is used.`, true)
    else { used = String(whole); if (first !== true) { say(''); changed() } }
    input.value = used
  }
  const input = h('input', { type: 'text', value: used, onchange: take, inputmode: 'numeric', size: 9 })
  if (name) kept(name, input)
  if (input.value !== used) take(true)
  const another = button('Another', () => { input.value = Math.floor(Math.random() * 1e6); input.dispatchEvent(new Event('change')) }, { title: 'another seed' })
  return { value: () => used, another: () => another.click(), element: h('div', { class: 'pair' }, field('Seed', input), another) }
}

// A label, for a model that takes one; `open` is what having none is called, where one may have none.
function labelField(changed, open) {
  if (!shape.classes?.length || !record.conditional) return { value: () => undefined, set() {}, element: '' }
  const select = choice([...(open ? [['', open]] : []), ...shape.classes.map((name, i) => [i, name])], open ? '' : 0, changed)
  if (open) kept('label', select)
  return { value: () => select.value === '' ? undefined : Number(select.value), set: v => { select.value = v ?? 0 }, element: field('Label', select) }
}

// How far something is, with a button that stops it.
function progressBar(doing, stop) {
  const bar = h('progress', { max: 1, value: 0, 'aria-label': doing }), element = h('div', { class: 'bar', hidden: true }, bar, button('Stop', stop))
  return { element, show(share) { element.hidden = false; bar.value = share }, hide() { element.hidden = true } }
}

function warmField(changed) {
  const input = h('input', { type: 'range', min: 0.2, max: 1.5, step: 0.05, value: 1 }), shown = h('output', {}, '1')
  input.addEventListener('input', () => { shown.textContent = input.value })
  input.addEventListener('change', changed)
  return { value: () => Number(input.value), element: h('div', { class: 'pair' }, field('Temperature', input), shown) }
}

function section(title, ...children) {
  const made = h('section', { 'aria-label': title }, h('h2', {}, title), children)
  find('main').append(made)
  return made
}

function save(blob, name) {
  const link = h('a', { href: URL.createObjectURL(blob), download: name })
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60000)
  say(`${name} is saved.`)
}

const named = (kind, more) => `${(record.title.replace(/[^\p{L}\p{N}_-]+/gu, '-').replace(/^-+|-+$/g, '') || 'genloom')}${more === undefined ? '' : `-${more}`}.${kind}`

async function start() {
  say('Unpacking the model…')
  try {
    await engine.start()
    performance.mark('loaded')
    say('')
    for (const add of SECTIONS) add()
  } catch (error) {
    say(`The model cannot run here: ${error.message}`, true)
  }
}
