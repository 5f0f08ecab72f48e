// The plugtest site on npm's coap, to be judged by `cargo xtask interop`.
//
// Binds 127.0.0.1 on a port that the system gives, prints `READY <port>` and serves until it is killed. What the
// library does by itself is left to it; this program routes, filters links and checks conditions, as an application
// of it has to.

'use strict'

const coap = require('coap')
const { createHash } = require('crypto')
const dgram = require('dgram')

const PERIOD_MS = 1000 // between two values of the observable resources
const TEXT = 'text/plain'
const LARGE = Buffer.concat(Array.from({ length: 42 }, (_, i) =>
  Buffer.from(`line ${String(i).padStart(4, '0')} of a large resource.\n`))).subarray(0, 1280)

const LINKS = [
  ['/', {}], ['/test', { ct: '0' }], ['/separate', {}], ['/seg1/seg2/seg3', {}], ['/query', {}],
  ['/location-query', {}], ['/multi-format', { ct: '0 41' }], ['/validate', {}],
  ['/link1', { rt: 'Type1 Type2', if: 'If1' }], ['/link2', { rt: 'Type2 Type3', if: 'If2' }],
  ['/link3', { rt: 'Type1 Type3', if: 'foo' }], ['/link4', { rt: '' }], ['/path', { ct: '40' }],
  ['/large', { rt: 'block', sz: '1280' }], ['/large-update', { rt: 'block', sz: '1280' }],
  ['/large-create', { rt: 'block' }], ['/large-post', { rt: 'block' }],
  ['/obs', { rt: 'observe', obs: null }], ['/obs-non', { rt: 'observe', obs: null }],
  ['/obs-large', { rt: 'observe', obs: null }], ['/obs-pumping', { rt: 'observe', obs: null }]
]

const stored = new Map([['/validate', Buffer.from('first')], ['/large-update', LARGE]])
const counters = new Map()
let created = 0
let tick = 0

setInterval(() => { tick++ }, PERIOD_MS)

function answer (response, code, payload, format) {
  response.code = code
  if (format !== undefined) response.setOption('Content-Format', format)
  response.end(payload)
}

function text (response, payload, code = '2.05') {
  answer(response, code, Buffer.from(payload), TEXT)
}

// All values of an option that may be repeated, as text: the library makes text of some and leaves others.
function all (request, name) {
  return request.options.filter(option => option.name === name).map(option => String(option.value))
}

// Text, because the library takes an ETag for text.
function etag (value) {
  return createHash('sha256').update(value).digest('hex').slice(0, 8)
}

function test (request, response) {
  switch (request.method) {
    case 'GET': return text(response, 'a test')
    case 'PUT':
      if (all(request, 'If-None-Match').length > 0) return text(response, 'it is there', '4.12')
      return answer(response, '2.04')
    case 'POST': return located(response)
    case 'DELETE': return answer(response, '2.02')
  }
  answer(response, '4.05')
}

function located (response) {
  response.setOption('Location-Path', ['location1', 'location2', 'location3'].map(name => Buffer.from(name)))
  answer(response, '2.01')
}

function multiFormat (request, response) {
  const accept = request.headers.Accept
  if (accept === undefined || accept === TEXT) return text(response, 'a text')
  if (accept === 'application/xml') return answer(response, '2.05', Buffer.from('<text>a text</text>'), accept)
  text(response, 'text or XML', '4.06')
}

// A value that is validated by ETag and changed on conditions.
function value (request, response, path) {
  const there = stored.get(path)
  const matches = all(request, 'If-Match')
  switch (request.method) {
    case 'GET':
      if (there === undefined) return text(response, 'nothing here', '4.04')
      response.setOption('ETag', Buffer.from(etag(there)))
      if (all(request, 'ETag').includes(etag(there))) return answer(response, '2.03')
      return answer(response, '2.05', there, TEXT)
    case 'PUT':
      if (there !== undefined && all(request, 'If-None-Match').length > 0) return text(response, 'it is there', '4.12')
      if (matches.length > 0 && !(there && (matches.includes('') || matches.includes(etag(there))))) {
        return text(response, 'not this one', '4.12')
      }
      stored.set(path, request.payload)
      return answer(response, there === undefined ? '2.01' : '2.04')
    case 'POST': return located(response)
    case 'DELETE':
      stored.delete(path)
      return answer(response, '2.02')
  }
  answer(response, '4.05')
}

function largeCreate (request, response, path) {
  if (path !== '/large-create') return value(request, response, path)
  if (request.method !== 'POST') return answer(response, '4.05')
  const name = String(++created % 16)
  stored.set(`/large-create/${name}`, request.payload)
  response.setOption('Location-Path', [Buffer.from('large-create'), Buffer.from(name)])
  answer(response, '2.01')
}

function counter (request, response, path) {
  const count = counters.get(path) ?? 0
  switch (request.method) {
    case 'GET': return text(response, String(count))
    case 'POST': keep(path, count + 1); return text(response, String(count + 1), '2.04')
    case 'PUT': keep(path, Number(request.payload)); return answer(response, '2.04')
    case 'DELETE': counters.delete(path); return answer(response, '2.02')
  }
  answer(response, '4.05')
}

function keep (path, count) {
  counters.set(path, count)
  if (counters.size > 100) counters.delete(counters.keys().next().value)
}

function observable (request, response, render) {
  if (request.method !== 'GET') return answer(response, '4.05')
  response.setOption('Content-Format', TEXT)
  response.setOption('Max-Age', Math.ceil(PERIOD_MS / 1000))
  if (request.headers.Observe !== 0) return answer(response, '2.05', Buffer.from(render()), TEXT)
  response.write(render())
  const timer = setInterval(() => response.write(render()), PERIOD_MS)
  response.on('finish', () => clearInterval(timer))
}

function links (request, response, query) {
  if (request.method !== 'GET') return answer(response, '4.05')
  const fits = ([href, attributes]) => [...query].every(([name, wanted]) => {
    const has = name === 'href' ? href : attributes[name]
    if (has === undefined || has === null) return false
    const values = name === 'href' ? [has] : has.split(' ')
    return wanted.endsWith('*')
      ? values.some(one => one.startsWith(wanted.slice(0, -1)))
      : values.includes(wanted)
  })
  const written = LINKS.filter(fits).map(([href, attributes]) => `<${href}>` + Object.entries(attributes)
    .map(([name, one]) => one === null ? `;${name}` : `;${name}="${one}"`).join(''))
  answer(response, '2.05', Buffer.from(written.join(',')), 'application/link-format')
}

const pumping = () => `tick ${String(tick).padStart(4, '0')} `.repeat(tick % 2 ? 120 : 1)

const ROUTES = {
  '/': (request, response) => text(response, 'a plugtest site on node-coap'),
  '/test': test,
  '/separate': (request, response) => setTimeout(() => text(response, 'separate'), 1500),
  '/seg1/seg2/seg3': (request, response) => text(response, 'three segments'),
  '/query': (request, response) => text(response, request.url.split('?')[1] || 'no query'),
  '/location-query': (request, response) => {
    if (request.method !== 'POST') return answer(response, '4.05')
    response.setOption('Location-Query', [Buffer.from('first=1'), Buffer.from('second=2')])
    answer(response, '2.01')
  },
  '/multi-format': multiFormat,
  '/large': (request, response) => answer(response, '2.05', LARGE, TEXT),
  '/large-post': (request, response) => text(response, request.payload.toString().toUpperCase(), '2.04'),
  '/path': (request, response) => answer(response, '2.05',
    Buffer.from('</path/sub1>,</path/sub2>,</path/sub3>'), 'application/link-format'),
  '/obs': (request, response) => observable(request, response, () => `tick ${tick}`),
  '/obs-non': (request, response) => observable(request, response, () => `tick ${tick}`),
  '/obs-large': (request, response) => observable(request, response, () => `tick ${tick} `.padEnd(12, '.').repeat(120)),
  '/obs-pumping': (request, response) => observable(request, response, pumping)
}

const READ_ONLY = new Set(['/', '/separate', '/seg1/seg2/seg3', '/query', '/large', '/path'])

function serve (request, response) {
  // A message that nobody acknowledges is an error of the response, which nobody else would hear of.
  response.on('error', () => {})
  const url = new URL(request.url, 'coap://localhost')
  const path = url.pathname
  if (path === '/.well-known/core') return links(request, response, url.searchParams)
  if (path.startsWith('/path/sub')) return text(response, path)
  if (path.startsWith('/counter/')) return counter(request, response, path)
  if (path.startsWith('/large-create')) return largeCreate(request, response, path)
  if (/^\/(validate|large-update|create[123])$/.test(path)) return value(request, response, path)
  if (/^\/link[1-4]$/.test(path)) return text(response, path)
  if (READ_ONLY.has(path) && request.method !== 'GET') return answer(response, '4.05')
  const route = ROUTES[path]
  return route ? route(request, response) : text(response, 'nothing here', '4.04')
}

const server = coap.createServer({ type: 'udp4' }, serve)
server.on('error', error => console.error(error.message))
const socket = dgram.createSocket('udp4')
socket.bind(0, '127.0.0.1', () => {
  server.listen(socket, () => console.log(`READY ${socket.address().port}`))
})
