// Pictures on canvases, and pictures that a person brings.

const GAP = 2 // pixels between the pictures of a sheet
const byte = v => Math.round(Math.min(1, Math.max(0, v)) * 255)

// Puts picture `at` of x [n, C, H, W] in [0, 1] onto a canvas; a label map in the colours of its likeliest classes.
function paint(canvas, { dims: [, c, hi, wi], data }, at = 0, palette = []) {
  canvas.width = wi
  canvas.height = hi
  const picture = new ImageData(wi, hi), plane = hi * wi, start = at * c * plane
  for (let i = 0; i < plane; i++) {
    const value = q => data[start + q * plane + i]
    let colour
    if (palette.length) {
      let best = 0
      for (let q = 1; q < c; q++) if (value(q) > value(best)) best = q
      colour = palette.slice(3 * best, 3 * best + 3)
    } else colour = c < 3 ? [byte(value(0)), byte(value(0)), byte(value(0))] : [byte(value(0)), byte(value(1)), byte(value(2))]
    picture.data.set([...colour, c === 4 && !palette.length ? byte(value(3)) : 255], 4 * i)
  }
  canvas.getContext('2d').putImageData(picture, 0, 0)
  return canvas
}

function saveCanvas(canvas, name) { canvas.toBlob(blob => save(blob, name), 'image/png') }

// A sheet of canvases of one size.
function sheet(canvases) {
  const columns = Math.ceil(Math.sqrt(canvases.length)), { width, height } = canvases[0], rows = Math.ceil(canvases.length / columns)
  const zoom = Math.max(1, Math.floor(720 / (columns * width)))
  const out = h('canvas', { width: columns * (width * zoom + GAP) - GAP, height: rows * (height * zoom + GAP) - GAP })
  const pen = out.getContext('2d')
  pen.imageSmoothingEnabled = false
  if (shape.channels !== 4) { pen.fillStyle = '#fff'; pen.fillRect(0, 0, out.width, out.height) }
  canvases.forEach((each, i) => {
    pen.drawImage(each, i % columns * (width * zoom + GAP), Math.floor(i / columns) * (height * zoom + GAP), width * zoom, height * zoom)
  })
  return out
}

// A place for pictures that are dropped, pasted or chosen; calls `taken` with an ImageBitmap.
function dropField(text, taken) {
  const input = h('input', { type: 'file', accept: 'image/*', class: 'hidden', tabindex: -1, 'aria-hidden': true })
  const take = async file => {
    if (!file) return
    const picture = await createImageBitmap(file).catch(() => undefined)
    if (!picture) return say(`${file.name || 'That'} is no picture that this browser can read.`, true)
    say('')
    await taken(picture)
  }
  input.addEventListener('change', () => { take(input.files[0]); input.value = '' })
  const zone = button(text, () => input.click(), { class: 'drop' })
  zone.addEventListener('dragover', event => { event.preventDefault(); zone.classList.add('over') })
  zone.addEventListener('dragleave', () => zone.classList.remove('over'))
  zone.addEventListener('drop', event => {
    event.preventDefault()
    zone.classList.remove('over')
    take(event.dataTransfer.files[0])
  })
  zone.addEventListener('paste', event => take([...event.clipboardData.files][0]))
  return h('div', {}, zone, input)
}

// A picture as x [1, C, H, W] in [0, 1], its middle cut to that shape; label maps by the nearest colour of a palette.
function pixelsOf(picture, c, hi, wi, palette = []) {
  const canvas = h('canvas', { width: wi, height: hi }), pen = canvas.getContext('2d', { willReadFrequently: true })
  const scale = Math.max(wi / picture.width, hi / picture.height), w = wi / scale, tall = hi / scale
  pen.imageSmoothingEnabled = !palette.length
  pen.imageSmoothingQuality = 'high'
  if (c !== 4) { pen.fillStyle = '#fff'; pen.fillRect(0, 0, wi, hi) }
  pen.drawImage(picture, (picture.width - w) / 2, (picture.height - tall) / 2, w, tall, 0, 0, wi, hi)
  const { data } = pen.getImageData(0, 0, wi, hi), plane = hi * wi, out = new Float32Array(c * plane)
  for (let i = 0; i < plane; i++) {
    const [r, g, b, a] = data.subarray(4 * i, 4 * i + 4)
    if (palette.length) {
      let best = 0, least = Infinity
      for (let q = 0; q < c; q++) {
        const away = (palette[3 * q] - r) ** 2 + (palette[3 * q + 1] - g) ** 2 + (palette[3 * q + 2] - b) ** 2
        if (away < least) { least = away; best = q }
      }
      out[best * plane + i] = 1
    } else if (c < 3) out.fill((0.299 * r + 0.587 * g + 0.114 * b) / 255, i, i + 1)
    else [r, g, b, a].slice(0, c).forEach((v, q) => { out[q * plane + i] = v / 255 })
  }
  return tensor([1, c, hi, wi], out)
}

const figure = (canvas, caption) => h('figure', {}, canvas, h('figcaption', {}, caption))
