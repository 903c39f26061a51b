/** What every public function says when it is called with what is no options: a CaptureError, never a TypeError. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as ringtap from '#src/index.js'

const REFUSED = { name: 'CaptureError', code: 'INVALID_OPTION' }

for (const given of [undefined, null, 'eth0', 5, []] as never[]) {
  test(`${given === null ? 'null' : Array.isArray(given) ? 'an array' : typeof given}`, async () => {
    await assert.rejects(ringtap.openCapture(given), REFUSED)
    await assert.rejects(ringtap.packets(given).next(), REFUSED)
    assert.throws(() => ringtap.planCapture(given, { pageSize: 4096, cpus: [0], availableMemoryBytes: 2 ** 30 }), REFUSED)
    assert.throws(() => ringtap.countInKernel(given), REFUSED)
    assert.throws(() => ringtap.openTransmitter(given), REFUSED)
  })
}

test('names of interfaces', () => {
  for (const given of [undefined, null, 5, '', [5], ['']] as never[]) assert.throws(() => ringtap.openInterfaceCounters(given), REFUSED)
  for (const given of [null, 5] as never[]) {
    assert.throws(() => ringtap.openInterfaceCounters('lo', given), REFUSED)
    assert.throws(() => ringtap.listInterfaces(given), REFUSED)
  }
  using counters = ringtap.openInterfaceCounters('lo')
  assert.deepEqual(
    counters.interfaces.map(({ name }) => name),
    ['lo'],
  )
})

test('a signal and a listener that are none', async () => {
  await assert.rejects(ringtap.openCapture({ interface: 'lo', signal: 5 as never }), { ...REFUSED, message: /signal to be an AbortSignal/ })
  await assert.rejects(ringtap.openCapture({ interface: 'lo', onEvent: {} as never }), { ...REFUSED, message: /onEvent to be a function/ })
})
