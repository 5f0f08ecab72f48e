// A CoAP client on npm's coap for the interoperability suite.
//
//     node node_client.js SCENARIO BASE_URI
//
// Runs one scenario against the server at BASE_URI, prints `OK ...` or `FAIL why`, and exits with 0 or 1.

'use strict'

const coap = require('coap')
const { createHash } = require('crypto')
const dgram = require('dgram')

const LARGE = Buffer.from(Array.from({ length: 200000 }, (_, i) => (i * 7 + Math.floor(i / 256)) & 255))
const LIMIT_MS = 60000 // for a whole scenario
const BLOCK_1024 = Buffer.of(6)
const [scenario, base] = process.argv.slice(2)

function expect (what, got, ...wanted) {
  if (!wanted.includes(got)) throw new Error(`${what}: got ${got}, wanted ${wanted.join(' or ')}`)
}

function request (method, path, { payload, options = {}, observe, token } = {}) {
  const url = new URL(base)
  const [pathname, query] = path.split('?')
  const outgoing = coap.request({
    hostname: url.hostname, port: Number(url.port), method, pathname, query, options, observe, token, agent
  })
  return new Promise((resolve, reject) => {
    outgoing.on('response', resolve)
    outgoing.on('error', reject)
    outgoing.on('timeout', reject)
    outgoing.end(payload)
  })
}

// An agent with a socket of its own stays open between requests.
const agent = new coap.Agent({ socket: dgram.createSocket('udp4') })
const text = { 'Content-Format': 'text/plain' }
const binary = { 'Content-Format': 'application/octet-stream' }

const scenarios = {
  async get () {
    const response = await request('GET', '/hello')
    expect('code', response.code, '2.05')
    expect('payload', response.payload.toString(), 'hello')
    expect('code of a missing resource', (await request('GET', '/no/such/resource')).code, '4.04')
    return '2.05 hello, 4.04 for a missing resource'
  },

  async put () {
    const first = await request('PUT', '/store/node-put', { payload: 'one', options: text })
    expect('code of the first PUT', first.code, '2.01')
    const second = await request('PUT', '/store/node-put', { payload: 'two', options: text })
    expect('code of the second PUT', second.code, '2.04')
    const stored = await request('GET', '/store/node-put')
    expect('payload', stored.payload.toString(), 'two')
    expect('content format', stored.headers['Content-Format'], 'text/plain')
    return '2.01, 2.04, then GET gives the second value'
  },

  async post () {
    const created = await request('POST', '/store', { payload: 'posted', options: text })
    expect('code', created.code, '2.01')
    // `headers` keeps only the last of several options of one number.
    const segments = created.options.filter((option) => option.name === 'Location-Path')
    const location = segments.map((option) => `/${option.value}`).join('')
    if (!location.startsWith('/store/')) throw new Error(`location ${location}`)
    expect('payload', (await request('GET', location)).payload.toString(), 'posted')
    return `2.01 at ${location}`
  },

  async delete () {
    await request('PUT', '/store/node-delete', { payload: 'gone', options: text })
    expect('code', (await request('DELETE', '/store/node-delete')).code, '2.02')
    expect('code afterwards', (await request('GET', '/store/node-delete')).code, '4.04')
    return '2.02, then 4.04'
  },

  async fetch () {
    const options = { 'Content-Format': 'application/json' }
    const response = await request('FETCH', '/echo', { payload: '{"a":1}', options })
    expect('code', response.code, '2.05')
    expect('payload', response.payload.toString(), '{"a":1}')
    return '2.05 with the payload sent'
  },

  async observe () {
    const stream = await request('GET', '/clock', { observe: true })
    expect('code', stream.code, '2.05')
    if (stream.headers.Observe === undefined) throw new Error('the first answer has no Observe option')
    const values = []
    // The stream gives the first answer too: five notifications are what follows it.
    for await (const value of stream) {
      if (values.push(value.toString()) === 6) break
    }
    // The library's own `close(true)` closes the socket before it sends the request that deregisters.
    const last = await request('GET', '/clock', { observe: 1, token: stream._packet.token })
    expect('code of the deregistration', last.code, '2.05')
    if (new Set(values).size < 5) throw new Error(`notifications do not change: ${values}`)
    return `5 notifications, ${values[1]} to ${values[5]}`
  },

  async 'large-get' () {
    const response = await request('GET', '/large')
    expect('code', response.code, '2.05')
    expect('length', response.payload.length, LARGE.length)
    expect('body equal', response.payload.equals(LARGE), true)
    return `${LARGE.length} bytes ${createHash('sha256').update(response.payload).digest('hex')}`
  },

  async 'large-put' () {
    const options = { ...binary, Block1: BLOCK_1024 }
    const put = await request('PUT', '/store/node-large', { payload: LARGE, options })
    expect('code', put.code, '2.01', '2.04')
    const stored = await request('GET', '/store/node-large')
    expect('length', stored.payload.length, LARGE.length)
    expect('body equal', stored.payload.equals(LARGE), true)
    return `${LARGE.length} bytes there and back`
  },

  async discover () {
    const response = await request('GET', '/.well-known/core?rt=clock')
    expect('code', response.code, '2.05')
    expect('content format', response.headers['Content-Format'], 'application/link-format')
    const links = response.payload.toString()
    if (!links.includes('</clock>') || links.includes('</hello>')) throw new Error(`links ${links}`)
    const everything = (await request('GET', '/.well-known/core')).payload.toString()
    for (const path of ['/hello', '/clock', '/large', '/separate', '/echo', '/store']) {
      if (!everything.includes(`<${path}>`)) throw new Error(`${path} is not in ${everything}`)
    }
    return links
  },

  async separate () {
    const begin = Date.now()
    const response = await request('GET', '/separate')
    expect('code', response.code, '2.05')
    if (Date.now() - begin < 1000) throw new Error('the answer came at once')
    return `2.05 ${response.payload}`
  },

  async 'critical-option' () {
    const response = await request('GET', '/hello', { options: { 65001: Buffer.of(1) } })
    expect('code', response.code, '4.02')
    return '4.02'
  }
}

async function main () {
  if (!scenarios[scenario]) throw new Error('node-coap has no such scenario')
  const limit = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`not done in ${LIMIT_MS} ms`)), LIMIT_MS).unref()
  })
  return Promise.race([scenarios[scenario](), limit])
}

main().then(
  (what) => { console.log('OK', scenario, what); process.exit(0) },
  (why) => { console.log('FAIL', scenario, why.message); process.exit(1) }
)
