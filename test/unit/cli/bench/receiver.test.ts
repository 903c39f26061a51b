import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseJsonLine, type ReceiverProgram, startReceiver } from '#src/cli/bench/receiver.js'
import { parseTwinLine } from '#src/cli/bench/twin.js'

const never = new AbortController().signal

function script(source: string): ReceiverProgram {
  return {
    name: 'script',
    command: process.execPath,
    arguments: ['-e', source],
    stopSignal: 'SIGTERM',
    inDriver: { drops: [], received: [] },
    parse: parseTwinLine,
  }
}

const GOOD = `
process.on('SIGTERM', () => { console.log('{"packets":5,"lost":{"socket":2}}'); process.exit(0) })
console.log('noise'); console.log('ready'); setInterval(() => {}, 1000)`

test('a receiver is started, measured, stopped, and reports its totals', async () => {
  const receiver = await startReceiver(script(GOOD), () => {}, never)
  assert.ok(receiver.time().userMs >= 0)
  await receiver.idle()
  assert.deepEqual(await receiver.stop(), { received: 5, drops: { socket: 2 } })
  await receiver.kill()
})

test('one that ends before packets flow is reported in its own words', async () => {
  const failing = script(`console.error('ringtap: mirror0: no such interface'); process.exitCode = 3`)
  await assert.rejects(
    startReceiver(failing, () => {}, never),
    { name: 'ReceiverError', message: 'script: mirror0: no such interface', exitStatus: 3 },
  )
})

test('one that dies while it should receive is an error at the next step, not a hang', async () => {
  const receiver = await startReceiver(script(`console.log('ready'); setTimeout(() => process.exit(4), 50)`), () => {}, never)
  await new Promise((resolve) => setTimeout(resolve, 500))
  await assert.rejects(receiver.stop(), { exitStatus: 4 })
  await receiver.kill()
})

test('one that cannot be started at all is an error', async () => {
  const missing = { ...script(''), command: '/nonexistent/receiver' }
  await assert.rejects(
    startReceiver(missing, () => {}, never),
    /ENOENT/,
  )
})

test('an abort ends the wait for the start, and the process', async () => {
  const controller = new AbortController()
  const starting = startReceiver(script('setInterval(() => {}, 1000)'), () => {}, controller.signal)
  setTimeout(() => controller.abort(), 100)
  await assert.rejects(starting, { name: 'AbortError' })
})

test('lines that are not JSON are not read as such', () => {
  assert.deepEqual(parseJsonLine('{"a":1}'), { a: 1 })
  assert.equal(parseJsonLine('{"a":'), undefined)
  assert.equal(parseJsonLine('[1]'), undefined)
})
