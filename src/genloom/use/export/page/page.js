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

function say(text, wrong = false) {
  find('status').textContent = text
  find('status').classList.toggle('wrong', wrong)
}

// -- the worker -----------------------------------------------------------------------------------

const engine = {
  waiting: new Map(), lanes: {}, last: 0,

  start() {
    const code = new Blob([find('engine').textContent], { type: 'text/javascript' })
    this.worker = new Worker(URL.createObjectURL(code))
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

  // As `ask`, one at a time in a lane: a newer one stops what runs there. Returns undefined for one that was stopped.
  async newest(lane, task, given, part) {
    const place = this.lanes[lane] ??= {}, mine = place.wanted = {}
    if (place.running) {
      place.running.stopped = true
      this.worker.postMessage({ stop: place.running.id })
      await place.running.promise.catch(() => {})
      if (place.wanted !== mine) return undefined
    }
    const asked = place.running = this.begun(task, given, part)
    try {
      const found = await asked.promise
      return asked.stopped ? undefined : found
    } catch (error) {
      if (error.stopped) return undefined
      say(`That went wrong: ${error.message}`, true)
      throw error
    } finally {
      if (place.running === asked) place.running = undefined
    }
  },

  stop(lane) {
    const running = this.lanes[lane]?.running
    if (running) { running.stopped = true; this.worker.postMessage({ stop: running.id }) }
    if (this.lanes[lane]) this.lanes[lane].wanted = undefined
    return Boolean(running)
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

let made = 0

function field(label, control) {
  control.id = control.id || `control-${++made}`
  return h('div', { class: 'field' }, h('label', { for: control.id }, label), control)
}

function choice(options, value, onchange) { // of [value, text]
  return h('select', { onchange }, options.map(([v, text]) => h('option', { value: v, selected: String(v) === String(value) }, text)))
}

const button = (text, onclick, more = {}) => h('button', { type: 'button', onclick, ...more }, text)

// A seed with a button for another one.
function seedField(changed) {
  const input = h('input', { type: 'number', min: 0, step: 1, value: 0, onchange: changed, inputmode: 'numeric' })
  const another = button('Another', () => { input.value = Math.floor(Math.random() * 1e6); changed() }, { title: 'another seed' })
  return { value: () => Math.max(0, Math.floor(Number(input.value) || 0)), element: h('div', { class: 'pair' }, field('Seed', input), another) }
}

function labelField(changed) {
  if (!shape.classes?.length || !record.conditional) return { value: () => undefined, element: '' }
  const select = choice([['', 'all in turn'], ...shape.classes.map((name, i) => [i, name])], '', changed)
  return { value: () => select.value === '' ? undefined : Number(select.value), element: field('Label', select) }
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

const named = (kind, seed) => `${record.title.replace(/[^\w-]+/g, '-')}${seed === undefined ? '' : `-seed-${seed}`}.${kind}`

async function start() {
  say('Unpacking the model…')
  try {
    await engine.start()
    performance.mark('loaded')
    say('')
    for (const add of SECTIONS) await add()
  } catch (error) {
    say(`The model cannot run here: ${error.message}`, true)
  }
}
