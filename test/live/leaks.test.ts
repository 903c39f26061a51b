/** A hundred captures in one process leave what one leaves; a capture that is killed leaves nothing at all. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import type { CaptureOptions } from '#src/capture/api.js'
import { createTestbed, startFlood, type TestbedEnd } from '#src/testbed/index.js'
import {
  assertAccount,
  handlerUrl,
  hasXdpProgram,
  live,
  mappingCount,
  openDescriptors,
  openOn,
  promiscuity,
  promiscuityOf,
  RawSender,
  statusKib,
  threadCount,
  until,
} from '../support/live.js'

const WARM_UP = 10

interface Usage {
  descriptors: number
  mappings: number
  threads: number
  virtualMib: number
  /** Without V8's heap, which grows as it likes. */
  residentMib: number
}

function usage(): Usage {
  return {
    descriptors: openDescriptors().length,
    mappings: mappingCount(),
    threads: threadCount(),
    virtualMib: Math.round(statusKib('VmSize') / 1024),
    residentMib: Math.round(statusKib('VmRSS') / 1024 - process.memoryUsage().heapTotal / 2 ** 20),
  }
}

const folder = mkdtempSync(join(tmpdir(), 'ringtap-leaks-'))
after(() => rmSync(folder, { recursive: true }))

const CASES: [name: string, cycles: number, options: Omit<CaptureOptions, 'interface'>][] = [
  ['ring, 2 workers', 100, { backend: 'ring', workers: 2, blockBytes: 65536, ringBytes: 64 * 65536 }],
  ['recv, 2 workers, a handler', 30, { backend: 'recv', workers: 2, handler: handlerUrl('stall'), handlerData: { ms: 0, busy: true } }],
  ['xdp', 100, { backend: 'xdp', ringBytes: 2 ** 20 }],
  ['ring, 2 workers that record', 60, { workers: 2, blockBytes: 65536, ringBytes: 64 * 65536, write: { path: join(folder, 'ring.pcapng') } }],
  ['xdp that records', 60, { backend: 'xdp', ringBytes: 2 ** 20, write: { path: join(folder, 'xdp.pcapng') } }],
]

for (const [name, cycles, options] of CASES) {
  live(`${cycles} times open and close: ${name}`, async (t) => {
    using testbed = createTestbed()
    using sender = new RawSender(testbed.sender)
    const cycle = async () => {
      const capture = await openOn(testbed, options)
      sender.sendNumbered(20)
      const summary = await capture.stop()
      assertAccount(summary)
      assert.ok(summary.offered <= 20)
    }
    const started = performance.now()
    for (let i = 0; i < WARM_UP; i++) await cycle()
    const before = usage()
    for (let i = 0; i < cycles; i++) await cycle()
    await until('threads are gone', () => threadCount() <= before.threads)
    const afterwards = usage()
    t.diagnostic(
      `before ${JSON.stringify(before)}, after ${JSON.stringify(afterwards)}, ${((performance.now() - started) / (WARM_UP + cycles)).toFixed(0)} ms a cycle`,
    )
    assert.equal(afterwards.descriptors, before.descriptors)
    assert.ok(afterwards.threads <= before.threads)
    // Threads come and go with arenas of the allocator: some, not some a cycle.
    assert.ok(afterwards.mappings <= before.mappings + 20, `${before.mappings} to ${afterwards.mappings} mappings`)
    assert.ok(afterwards.virtualMib <= before.virtualMib + 256, `${before.virtualMib} to ${afterwards.virtualMib} MiB`)
    assert.ok(afterwards.residentMib <= before.residentMib + 24, `${before.residentMib} to ${afterwards.residentMib} MiB`)
  })
}

for (const [name, options] of [
  ['ring', { workers: 2, blockBytes: 65536, ringBytes: 4 * 65536 }],
  ['xdp', { backend: 'xdp', ringBytes: 2 ** 20 }],
] as const) {
  live(`an open that fails twenty times leaves nothing either: ${name}`, async () => {
    using testbed = createTestbed()
    const misbehaves = { handler: handlerUrl('misbehave'), handlerData: { where: 'open' } }
    const attempt = () => assert.rejects(openOn(testbed, { ...options, ...misbehaves }), { code: 'HANDLER_FAILED' })
    for (let i = 0; i < 3; i++) await attempt()
    const before = usage()
    for (let i = 0; i < 20; i++) await attempt()
    await until('threads are gone', () => threadCount() <= before.threads)
    const afterwards = usage()
    assert.deepEqual([afterwards.descriptors, afterwards.threads], [before.descriptors, before.threads])
    assert.ok(afterwards.mappings <= before.mappings + 15, `${before.mappings} to ${afterwards.mappings} mappings`)
    assert.equal(promiscuity(testbed.receiver), 0)
    assert.ok(!hasXdpProgram(testbed.receiver))
  })
}

/** A process that captures on `end` and says so. */
function capturing(end: TestbedEnd, options: object, then = 'setInterval(() => {}, 1000)'): ChildProcess {
  const source = `
    import { openCapture } from ${JSON.stringify(import.meta.resolve('#src/index.js'))}
    const capture = await openCapture(${JSON.stringify({ ...end, ...options })})
    console.log('open')
    ${then}`
  return spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: ['ignore', 'pipe', 'inherit'] })
}

/** Processes other than this one that have a descriptor or a thread in this namespace. */
function holders(namespace: string): string[] {
  const found: string[] = []
  for (const pid of readdirSync('/proc').filter((it) => /^\d+$/.test(it) && it !== `${process.pid}`)) {
    for (const folder of [`/proc/${pid}/fd`, `/proc/${pid}/ns`]) {
      try {
        for (const name of readdirSync(folder)) if (readlinkSync(`${folder}/${name}`) === namespace) found.push(`${folder}/${name}`)
      } catch {
        // The process has ended meanwhile.
      }
    }
  }
  return found
}

for (const options of [
  { workers: 2 },
  { backend: 'recv', workers: 2, fanout: 'hash' },
  { backend: 'xdp' },
  { backend: 'xdp', xdpMode: 'generic' },
] satisfies Omit<CaptureOptions, 'interface'>[]) {
  live(`kill -9 in the middle of a capture: ${JSON.stringify(options)}`, async () => {
    using testbed = createTestbed()
    const namespace = readlinkSync(testbed.receiver.netns)
    await using flood = await startFlood({ ...testbed.sender, ratePps: 200_000 })
    const child = capturing(testbed.receiver, options)
    await once(child.stdout as NodeJS.ReadableStream, 'data')
    assert.equal(promiscuity(testbed.receiver), promiscuityOf(options))
    assert.equal(hasXdpProgram(testbed.receiver), options.backend === 'xdp')
    assert.ok(holders(namespace).length > 0)
    child.kill('SIGKILL')
    await once(child, 'exit')
    await until('promiscuous mode is off', () => promiscuity(testbed.receiver) === 0, 2000)
    await until('no program is left', () => !hasXdpProgram(testbed.receiver), 2000)
    assert.deepEqual(holders(namespace), [])
    await flood.stop()
    // And the interface is as good as before.
    using sender = new RawSender(testbed.sender)
    await using capture = await openOn(testbed, options)
    sender.sendNumbered(10)
    await until('packets', () => capture.counters().packets === 10)
  })
}

for (const options of [{ workers: 2 }, { backend: 'xdp' }]) {
  live(`a process that ends without closing leaves nothing either: ${JSON.stringify(options)}`, async () => {
    using testbed = createTestbed()
    const child = capturing(testbed.receiver, options, 'process.exit(0)')
    const [code] = await once(child, 'exit')
    assert.equal(code, 0)
    await until('nothing is left', () => promiscuity(testbed.receiver) === 0 && !hasXdpProgram(testbed.receiver), 2000)
  })
}

live('a capture alone keeps its process alive until it ends, and no longer', async () => {
  using testbed = createTestbed()
  const before = performance.now()
  const child = capturing(testbed.receiver, { durationMs: 700 }, 'capture.finished.then((s) => console.log(s.reason))')
  let said = ''
  child.stdout?.on('data', (chunk) => {
    said += chunk
  })
  const [code] = await once(child, 'exit')
  assert.deepEqual([code, said], [0, 'open\nduration\n'])
  assert.ok(performance.now() - before > 700)
})

for (const backend of ['ring', 'recv', 'xdp'] as const) {
  live(`a stale view is read after close, and the process lives: ${backend}`, async () => {
    using testbed = createTestbed({ queues: 1 })
    using sender = new RawSender(testbed.sender)
    const options = { backend, ringBytes: 8 * 65536, handler: handlerUrl('keep').href }
    const child = capturing(testbed.receiver, options, "setTimeout(async () => console.log((await capture.stop()).packets, 'packets'), 500)")
    let said = ''
    child.stdout?.on('data', (chunk) => {
      said += chunk
      if (`${chunk}`.includes('open')) sender.sendNumbered(3000)
    })
    const [code, signal] = await once(child, 'close')
    assert.deepEqual([code, signal], [0, null], said)
    assert.match(said, /stale views of \d+ blocks read, sum \d+/)
    assert.match(said, /\d+ packets/)
  })
}
