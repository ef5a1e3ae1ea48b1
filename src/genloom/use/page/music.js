// Music: composed step by step, or drawn as notes; a roll, a player, and a file for others.

const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#5a5a5a'] // Okabe and Ito's, less yellow
const KEYS = ['C', 'C#', 'D', 'Eb', 'E', 'F', 'F#', 'G', 'Ab', 'A', 'Bb', 'B']
const TICKS = 480, ROW = 5, STEP = 8 // ticks of a quarter note; pixels of a semitone and of a step
const HELD = 1, FIRST = 2 // codes, as the model has them
const PERCUSSION = 9

SECTIONS.push(() => {
  const composes = Boolean(functions.next_step), voices = composes ? shape.voices : ['piece'], [fewest, most] = [shape.low, shape.high]
  let longest, notes = [], player
  const seed = seedField(() => make(), 'seed'), warm = composes && warmField(() => make())
  const told = functions.next_step?.inputs.find(each => each.name === 'told')
  const bars = composes && kept('bars', choice([2, 4, 8, 16].map(n => [n, `${n} bars`]), 4, () => make()))
  const key = composes && kept('key', choice([[24, 'any'], ...KEYS.flatMap((k, i) => [[i, `${k} major`], [i + 12, `${k} minor`]])], 24, () => make()))
  const density = composes && choice([[3, 'any'], [0, 'few notes'], [1, 'some'], [2, 'many']], 3, () => make())
  const composer = composes && shape.classes?.length ? choice(shape.classes.map((name, i) => [i, name]), 0, () => make()) : undefined
  const keep = composes && voices.length > 1 ? voices.map((name, v) => [h('input', { type: 'checkbox', id: `keep-${v}` }), name]) : []
  const roll = h('canvas', { class: 'roll', role: 'img' }), paper = h('div', { class: 'scroll' }, roll), bar = progressBar('composing', () => engine.stop('draw'))
  const play = button('Play', () => player ? stop() : start(), { class: 'first' })
  section('Music', h('div', { class: 'controls' }, play, seed.element, bars ? field('Length', bars) : '', key ? field('Key', key) : '', density ? field('Density', density) : '',
    composer ? field('Composer', composer) : '', warm ? warm.element : '', button('Save as MIDI', () => notes.length && save(new Blob([midi()], { type: 'audio/midi' }), named('mid', keep.some(([box]) => box.checked) ? 'some-voices-kept' : `seed-${seed.value()}`)))),
    keep.length ? h('fieldset', {}, h('legend', {}, 'Keep these voices, and write the others anew'), keep.map(([box, name], v) => {
      const label = h('label', { for: box.id }, box, name)
      label.style.setProperty('--voice', COLOURS[v % COLOURS.length])
      return label
    }), button('Write anew', () => seed.another())) : '',
    bar.element, paper)

  async function make() {
    stop()
    bar.show(0)
    const found = await (composes ? compose() : drawNotes())
    if (found === null) return
    bar.hide()
    if (!found) return
    show()
    roll.setAttribute('aria-label', `a piano roll of ${notes.length} notes`)
    firstShown()
  }

  async function compose() {
    const steps = Number(bars.value) * record.bar, v = voices.length, kept = keep.map(([box]) => box.checked)
    const given = longest && kept.some(Boolean) ? tensor([1, steps, v], Float64Array.from({ length: steps * v }, (_, i) => kept[i % v] ? longest.data[i] ?? -1 : -1), 'i') : undefined
    const asked = [Number(key.value), Number(density.value), ...(composer ? [Number(composer.value)] : [])].slice(0, told.dims[1])
    const found = await engine.newest('draw', 'compose', { seed: seed.value(), steps, told: tensor([1, asked.length], asked, 'i'), voices: given, temperature: warm.value() }, ({ x, share }) => {
      bar.show(share)
      notes = ofCodes(x)
      show(x.dims[1])
    })
    if (!found) return found
    notes = ofCodes(found.codes)
    if (!longest || steps >= longest.dims[1] || !kept.some(Boolean)) longest = found.codes // a kept voice is not cut for good
    if (kept.length && kept.every(Boolean)) say('All voices are kept, so nothing is new.')
    return found
  }

  async function drawNotes() {
    let x
    const found = await engine.newest('draw', 'draw', { seed: seed.value(), n: 1 }, part => { x = part.x })
    if (found) notes = ofEvents(x)
    return found
  }

  // Notes {start, length (quarter notes), pitch, loud, voice}.
  function ofCodes({ dims: [, steps, v], data }) {
    const out = []
    for (let voice = 0; voice < v; voice++) for (let t = 0, last; t < steps; t++) {
      const code = data[t * v + voice]
      if (code >= FIRST) out.push(last = { start: t / shape.grid, length: 1 / shape.grid, pitch: code - FIRST + fewest, loud: 80, voice })
      else if (code === HELD && last) last.length += 1 / shape.grid
      else last = undefined
    }
    return out
  }

  function ofEvents({ dims: [, n], data }) {
    let start = 0
    return Array.from({ length: n }, (_, i) => {
      const [length, high, loud, gap] = data.slice(4 * i, 4 * i + 4)
      start += Math.max(0, gap)
      const within = (v, low, top) => Math.min(top, Math.max(low, Math.round(v)))
      return { start, length: Math.max(1 / 32, length), pitch: within(high * 12 + 69, fewest, most), loud: within(loud * 127, 1, 127), voice: 0 }
    })
  }

  const ends = () => Math.max(0, ...notes.map(each => each.start + each.length))

  function show(at) {
    const per = STEP * (shape.grid ?? 4), wide = Math.max(ends(), composes ? Number(bars.value) * record.bar / shape.grid : 1) * per
    roll.width = Math.min(16000, Math.ceil(wide))
    roll.height = (most - fewest + 1) * ROW
    const pen = roll.getContext('2d'), beat = (shape.beats ?? 4) * 4 / (shape.part ?? 4)
    for (let p = fewest; p <= most; p++) {
      pen.fillStyle = [1, 3, 6, 8, 10].includes(p % 12) ? '#f0f0f0' : '#fff'
      pen.fillRect(0, (most - p) * ROW, roll.width, ROW)
    }
    pen.fillStyle = '#cdcdcd'
    for (let q = 0; q * per < roll.width; q += beat) pen.fillRect(q * per, 0, 1, roll.height)
    for (const { start, length, pitch, voice } of [...notes].reverse()) {
      pen.fillStyle = COLOURS[voice % COLOURS.length]
      pen.fillRect(start * per + 1, (most - pitch) * ROW, Math.max(1, length * per - 1), ROW)
    }
    if (at === undefined) return
    pen.fillStyle = '#000'
    pen.fillRect(at * per, 0, 2, roll.height)
    paper.scrollLeft = at * per * roll.clientWidth / roll.width - paper.clientWidth / 2
  }

  // -- sound ---------------------------------------------------------------------------------------

  function start() {
    const sound = new AudioContext(), quarter = 60 / shape.tempo, begin = sound.currentTime + 0.1
    const all = sound.createGain()
    all.gain.value = 0.8 / Math.max(2, voices.length)
    all.connect(sound.destination)
    for (const { start: at, length, pitch, loud } of notes) {
      const tone = sound.createOscillator(), level = sound.createGain(), from = begin + at * quarter, until = from + Math.max(0.05, length * quarter)
      tone.type = 'triangle'
      tone.frequency.value = 440 * 2 ** ((pitch - 69) / 12)
      level.gain.setValueAtTime(0, from)
      level.gain.linearRampToValueAtTime(loud / 127, from + 0.015)
      level.gain.setTargetAtTime(0.25 * loud / 127, from + 0.015, 0.4)
      level.gain.setTargetAtTime(0, until - 0.03, 0.02)
      tone.connect(level).connect(all)
      tone.start(from)
      tone.stop(until + 0.1)
    }
    player = sound
    play.textContent = 'Stop'
    const tick = () => {
      if (player !== sound) return
      const at = (sound.currentTime - begin) / quarter
      if (at > ends() + 0.5) return stop()
      show(Math.max(0, at))
      requestAnimationFrame(tick)
    }
    tick()
  }

  function stop() {
    player?.close()
    player = undefined
    play.textContent = 'Play'
    if (notes.length) show()
  }

  // -- a standard MIDI file ------------------------------------------------------------------------

  function midi() {
    const variable = v => { const out = [v & 127]; while (v >>= 7) out.unshift(v & 127 | 128); return out }
    const whole = (v, n) => Array.from({ length: n }, (_, i) => v >> 8 * (n - 1 - i) & 255)
    const track = lines => {
      let last = 0
      const body = lines.sort((a, b) => a[0] - b[0] || a[1][0] - b[1][0]).flatMap(([at, bytes]) => { const gap = at - last; last = at; return [...variable(gap), ...bytes] })
      body.push(0, 0xFF, 0x2F, 0)
      return [0x4D, 0x54, 0x72, 0x6B, ...whole(body.length, 4), ...body]
    }
    const head = track([[0, [0xFF, 0x51, 3, ...whole(Math.round(60e6 / shape.tempo), 3)]], [0, [0xFF, 0x58, 4, shape.beats ?? 4, Math.log2(shape.part ?? 4), 24, 8]]])
    const tracks = voices.map((_, v) => track(notes.filter(each => each.voice === v).flatMap(({ start: at, length, pitch, loud }) => {
      const channel = v % 15 + (v % 15 >= PERCUSSION), from = Math.round(at * TICKS)
      return [[from, [0x90 | channel, pitch, loud]], [Math.max(from + 1, Math.round((at + length) * TICKS)), [0x80 | channel, pitch, 0]]]
    })))
    return new Uint8Array([0x4D, 0x54, 0x68, 0x64, 0, 0, 0, 6, 0, 1, ...whole(tracks.length + 1, 2), ...whole(TICKS, 2), ...head, ...tracks.flat()])
  }

  make()
})
