import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CaptureError, fromPlainError, toPlainError } from '#src/errors.js'

/** As an error travels from a worker to the main thread. */
const travel = (error: unknown) => fromPlainError(structuredClone(toPlainError(error, 'WORKER_FAILED')))

test('a CaptureError crosses a thread boundary whole', () => {
  const error = new CaptureError('RING_REFUSED', 'eth0: no', { hint: 'less', syscall: 'mmap', errno: 12, errnoName: 'ENOMEM', cause: new TypeError('why') })
  const arrived = travel(error)
  assert.ok(arrived instanceof CaptureError)
  assert.deepEqual(
    [arrived.name, arrived.code, arrived.message, arrived.hint, arrived.syscall, arrived.errno, arrived.errnoName, arrived.stack],
    ['CaptureError', 'RING_REFUSED', 'eth0: no', 'less', 'mmap', 12, 'ENOMEM', error.stack],
  )
  assert.ok(arrived.cause instanceof Error)
  assert.equal(arrived.cause.message, 'why')
})

test('what is absent stays absent', () => {
  const arrived = travel(new CaptureError('INVALID_OPTION', 'no'))
  assert.deepEqual([arrived.hint, arrived.syscall, arrived.errno, arrived.errnoName, arrived.cause], [undefined, undefined, undefined, undefined, undefined])
  assert.ok(!Object.hasOwn(arrived, 'cause'))
})

test('any other error gets the code that the sender names, and is the cause', () => {
  const thrown = new RangeError('handler broke')
  const arrived = travel(thrown)
  assert.equal(arrived.code, 'WORKER_FAILED')
  assert.equal(arrived.message, 'handler broke')
  assert.equal(arrived.stack, thrown.stack)
  assert.equal((arrived.cause as Error).message, 'handler broke')
})

test('what is thrown need not be an Error, nor be cloneable', () => {
  assert.equal(travel('a string').message, 'a string')
  assert.equal(travel('a string').cause, 'a string')
  assert.equal(travel(undefined).message, 'undefined')
  assert.equal(travel(7n).cause, 7n)
  assert.equal(travel({ toString: () => 'an object', method() {} }).message, 'an object')
  assert.equal(travel(() => 1).code, 'WORKER_FAILED')
  const withFunction = Object.assign(new Error('carries a function'), { callback: () => 1 })
  assert.equal(travel(new CaptureError('HANDLER_FAILED', 'x', { cause: withFunction })).message, 'x')
  assert.equal(travel(Symbol('sign')).message, 'Symbol(sign)')
})
