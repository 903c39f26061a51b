import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planCapture } from '#src/capture/plan.js'
import { captureOptions } from '#src/cli/capture-options.js'
import { doctorStatus } from '#src/cli/doctor-lines.js'
import { describeFailure, failureDocument, failureLines } from '#src/cli/exit-status.js'
import { parseArguments } from '#src/cli/parse.js'
import { findCommand, type ValuesOf } from '#src/cli/table.js'
import { UsageError } from '#src/cli/usage-error.js'
import { CAPTURE_ERROR_CODES, CaptureError } from '#src/errors.js'
import type { Diagnosis } from '#src/host/index.js'

test('exit status of every code', () => {
  const status = Object.fromEntries(CAPTURE_ERROR_CODES.map((code) => [code, describeFailure(new CaptureError(code, 'x')).status]))
  assert.deepEqual(status, {
    INVALID_OPTION: 2,
    INVALID_FILTER: 2,
    NO_SUCH_INTERFACE: 1,
    INTERFACE_DOWN: 1,
    INTERFACE_REMOVED: 1,
    UNSUPPORTED_LINK_TYPE: 3,
    PERMISSION: 3,
    NO_SUCH_NAMESPACE: 1,
    INTERFACE_IN_USE: 2,
    XDP_REFUSED: 3,
    RING_REFUSED: 1,
    FANOUT_REFUSED: 1,
    HANDLER_NOT_LOADED: 1,
    HANDLER_FAILED: 1,
    WORKER_FAILED: 1,
    INVALID_FILE: 1,
    FILE_FAILED: 1,
    TUNING_FAILED: 1,
    SYSTEM_CALL_FAILED: 1,
    UNSUPPORTED_PLATFORM: 3,
  })
})

test('a doctor that examined nothing ends with a status that is no verdict', () => {
  const verdicts = ['line-rate', 'limited', 'impossible'].map((verdict) => doctorStatus({ verdict } as Diagnosis))
  const errors = [...CAPTURE_ERROR_CODES.map((code) => new CaptureError(code, 'x')), new UsageError('x'), new TypeError('x')]
  for (const error of errors) {
    const { status } = describeFailure(error, findCommand('doctor'))
    assert.deepEqual([status, verdicts.includes(status)], [2, false], error.message)
  }
})

test('a line, and a line with a hint', () => {
  assert.deepEqual(failureLines(describeFailure(new UsageError('bad', 'try this'))), ['ringtap: bad', '  try this'])
  assert.deepEqual(failureLines(describeFailure(new UsageError('bad'))), ['ringtap: bad'])
  assert.deepEqual(failureLines(describeFailure(new CaptureError('PERMISSION', 'no\n  right', { hint: 'be root' }))), ['ringtap: no right', '  be root'])
})

test("the library's option names become the command line's", () => {
  const error = new CaptureError('INVALID_OPTION', 'ringBytes 5 is not a multiple of blockBytes; count stays', { hint: 'or give ringHold' })
  const failure = describeFailure(error, findCommand('capture'))
  assert.equal(failure.message, '--ring 5 is not a multiple of --block; count stays')
  assert.equal(failure.hint, 'or give --ring')
})

test('a rotation with a time machine is refused in the words of who gave it', () => {
  const facts = { pageSize: 4096, cpus: [0], availableMemoryBytes: 2 ** 40 }
  const refused = (...argv: string[]) => {
    const invocation = parseArguments(['capture', '-i', 'eth0', '-w', 'x.pcap', '--before', '1s', ...argv]) as { values: ValuesOf<'capture'> }
    try {
      planCapture(captureOptions(invocation.values), facts)
    } catch (error) {
      return failureLines(describeFailure(error, findCommand('capture')))
    }
    assert.fail('not refused')
  }
  const lines = (option: string, got: number) => [
    `ringtap: Expected the option ${option} to be absent with --before: each trigger makes one file, got ${got} (number)`,
    '  without -C, -G, -W and --keep',
  ]
  assert.deepEqual(refused('-G', '3'), lines('--rotate-time', 3))
  assert.deepEqual(refused('-C', '2'), lines('--rotate-size', 2_000_000))
  assert.deepEqual(refused('-W', '4'), lines('--files', 4))
  assert.deepEqual(refused('--keep', '8M'), lines('--keep', 8 * 2 ** 20))
})

test('names that are English words too are names only where the sentence says so', () => {
  const message = (text: string) => describeFailure(new CaptureError('INVALID_OPTION', text), findCommand('capture')).message
  assert.equal(message('Expected the option workers to be at most 256, got 300 workers'), 'Expected the option --workers to be at most 256, got 300 workers')
  assert.equal(message('Expected the option fanout.program to be absent, not fanout cpu'), 'Expected the option --fanout-program to be absent, not fanout cpu')
  const flood = describeFailure(new CaptureError('INVALID_OPTION', 'flood: expected frameBytes to be 60, got 5'), findCommand('flood'))
  assert.equal(flood.message, 'flood: expected --size to be 60, got 5')
  const size = describeFailure(new CaptureError('INVALID_OPTION', 'Expected load to be 0.01 to 1, got 2 (number)'), findCommand('size'))
  assert.equal(size.message, 'Expected --load to be 0.01 to 1, got 2 (number)')
})

test('what nobody foresaw', () => {
  const failure = describeFailure(new TypeError('x is not a function'))
  assert.equal(failure.status, 1)
  assert.deepEqual(failureLines(failure), ['ringtap: x is not a function', '  RINGTAP_DEBUG=1 shows where this comes from'])
  assert.equal(describeFailure('text').message, "'text'")
})

test('the same for a program', () => {
  assert.deepEqual(failureDocument(describeFailure(new CaptureError('PERMISSION', 'no'))), { type: 'error', code: 'PERMISSION', message: 'no', hint: null })
})
