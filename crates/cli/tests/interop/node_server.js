// A CoAP server on npm's coap for the interoperability suite.
//
// Binds 127.0.0.1 on a port that the system gives, prints `READY <port>` and serves until it is killed.
// The resources are those that every peer server of the suite offers; docs/interop.md lists them.
// The library routes nothing, checks no critical options and knows no link filter: this program does the
// first and the last of these.

'use strict'

const coap = require('coap')
const { createHash } = require('crypto')
const dgram = require('dgram')

const LARGE = Buffer.from(Array.from({ length: 200000 }, (_, i) => (i * 7 + Math.floor(i / 256)) & 255))
const TICK_MS = 200 // between two values of /clock
const SEPARATE_MS = 1500 // that /separate takes by default
const LINKS = ['hello', 'echo', 'large', 'separate', 'clock', 'store']

const store = new Map()
let made = 0
let count = 0

function answer (response, code, payload, contentFormat) {
  response.code = code
  if (contentFormat !== undefined) response.setOption('Content-Format', contentFormat)
  response.end(payload)
}

function contentFormatOf (request) {
  return request.headers['Content-Format']
}

function hello (request, response) {
  if (request.method !== 'GET') return answer(response, '4.05')
  answer(response, '2.05', Buffer.from('hello'), 'text/plain')
}

function echo (request, response) {
  if (request.method === 'FETCH') return answer(response, '2.05', request.payload, contentFormatOf(request))
  if (request.method === 'POST') return answer(response, '2.04', request.payload, contentFormatOf(request))
  answer(response, '4.05')
}

function large (request, response) {
  if (request.method === 'GET') return answer(response, '2.05', LARGE, 'application/octet-stream')
  if (request.method !== 'PUT') return answer(response, '4.05')
  const digest = createHash('sha256').update(request.payload).digest('hex')
  answer(response, '2.04', Buffer.from(`${request.payload.length} ${digest}`), 'text/plain')
}

function separate (request, response, query) {
  const milliseconds = Number(query.get('ms') ?? SEPARATE_MS)
  setTimeout(() => answer(response, '2.05', Buffer.from('separate'), 'text/plain'), milliseconds)
}

function clock (request, response) {
  if (request.headers.Observe !== 0) return answer(response, '2.05', Buffer.from(String(count)), 'text/plain')
  response.setOption('Content-Format', 'text/plain')
  response.write(String(count))
  const timer = setInterval(() => response.write(String(count)), TICK_MS)
  response.on('finish', () => clearInterval(timer))
}

function collection (request, response) {
  if (request.method !== 'POST') return answer(response, '4.05')
  const name = `made${++made}`
  store.set(name, { payload: request.payload, contentFormat: contentFormatOf(request) })
  response.setOption('Location-Path', [Buffer.from('store'), Buffer.from(name)])
  answer(response, '2.01')
}

function entry (request, response, name) {
  const there = store.get(name)
  switch (request.method) {
    case 'GET':
      return there ? answer(response, '2.05', there.payload, there.contentFormat) : answer(response, '4.04')
    case 'PUT':
      store.set(name, { payload: request.payload, contentFormat: contentFormatOf(request) })
      return answer(response, there ? '2.04' : '2.01')
    case 'DELETE':
      store.delete(name)
      return answer(response, '2.02')
    default:
      return answer(response, '4.05')
  }
}

function core (request, response, query) {
  const shown = query.get('rt') === null ? LINKS : LINKS.filter((name) => name === query.get('rt'))
  const links = shown.map((name) => `</${name}>;rt="${name}"` + (name === 'clock' ? ';obs' : ''))
  answer(response, '2.05', Buffer.from(links.join(',')), 'application/link-format')
}

const routes = { '/hello': hello, '/echo': echo, '/large': large, '/separate': separate, '/clock': clock }

function serve (request, response) {
  // The library hands an empty confirmable message (a ping) to the program like a request.
  if (request.code === '0.00') return response.reset()
  const [path, search] = request.url.split('?')
  const query = new URLSearchParams(search ?? '')
  if (routes[path]) return routes[path](request, response, query)
  if (path === '/.well-known/core') return core(request, response, query)
  if (path === '/store') return collection(request, response)
  if (path.startsWith('/store/')) return entry(request, response, path.slice('/store/'.length))
  answer(response, '4.04')
}

setInterval(() => { count += 1 }, TICK_MS)
const socket = dgram.createSocket('udp4')
socket.bind(0, '127.0.0.1', () => {
  coap.createServer(serve).listen(socket, () => console.log(`READY ${socket.address().port}`))
})
