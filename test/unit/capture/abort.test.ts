import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { onAbort, orAborted } from '#src/capture/abort.js'

test('a signal has one listener, however many are told, and none when nobody is left', () => {
  const abort = new AbortController()
  const told: number[] = []
  const leave = Array.from({ length: 30 }, (_, i) => onAbort(abort.signal, () => told.push(i)))
  assert.equal(getEventListeners(abort.signal, 'abort').length, 1)
  for (const unlisten of leave.slice(0, 28)) unlisten()
  assert.equal(getEventListeners(abort.signal, 'abort').length, 1)
  abort.abort()
  assert.deepEqual(told, [28, 29])
  onAbort(abort.signal, () => told.push(30))
  assert.deepEqual(told, [28, 29, 30])
  const other = new AbortController()
  onAbort(other.signal, () => {})()
  assert.equal(getEventListeners(other.signal, 'abort').length, 0)
  onAbort(undefined, () => assert.fail('no signal'))()
})

test('a promise or the abort, whichever is first; nothing stays with the signal', async () => {
  const abort = new AbortController()
  assert.equal(await orAborted(Promise.resolve(5), abort.signal), 5)
  await assert.rejects(orAborted(Promise.reject(new Error('no')), abort.signal), /no/)
  assert.equal(getEventListeners(abort.signal, 'abort').length, 0)
  const never = orAborted(new Promise(() => {}), abort.signal)
  abort.abort()
  await assert.rejects(never, (error) => error === abort.signal.reason)
  await assert.rejects(orAborted(new Promise(() => {}), abort.signal))
  assert.equal(await orAborted(Promise.resolve(6), undefined), 6)
})
