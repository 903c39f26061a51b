import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CaptureError } from '#src/errors.js'
import { callFailed, EINVAL, ENOMEM, ENOTSUPP, EOPNOTSUPP } from '#src/kernel/errno.js'
import { isOfMode, NO_SUCH_PROGRAM_MODE, NO_SUCH_SOCKET_MODE, takeFirstMode, XDP_MODES, type XdpMode } from '#src/source/xdp-mode.js'

const refusal = (call: string, errno: number) => callFailed({ subject: 'eth0', call, errno, code: 'XDP_REFUSED' })

test('the first that goes, and why those before it did not', () => {
  const attempted: XdpMode[] = []
  const found = takeFirstMode(XDP_MODES, (mode) => {
    attempted.push(mode)
    return mode === 'zero-copy' ? refusal('bind', EOPNOTSUPP) : undefined
  })
  assert.equal(found.mode, 'native')
  assert.deepEqual(attempted, ['zero-copy', 'native'])
  assert.equal(found.tried.length, 1)
  assert.equal(found.tried[0]?.mode, 'zero-copy')
  assert.match(found.tried[0]?.reason ?? '', /^bind: EOPNOTSUPP, \S/)
  assert.deepEqual(
    takeFirstMode(['generic'], () => undefined),
    { mode: 'generic', tried: [] },
  )
})

test('where none goes, what the last one says', () => {
  const refusals = new Map(XDP_MODES.map((mode) => [mode, refusal(mode, EINVAL)]))
  assert.throws(
    () => takeFirstMode(XDP_MODES, (mode) => refusals.get(mode)),
    (error) => error === refusals.get('generic'),
  )
})

test('what would fail in any mode ends the search', () => {
  const failure = refusal('socket', ENOMEM)
  assert.throws(
    () =>
      takeFirstMode(XDP_MODES, (mode) => {
        assert.equal(mode, 'zero-copy')
        throw failure
      }),
    (error) => error === failure,
  )
})

test('which answers are about the mode', () => {
  assert.ok(isOfMode(refusal('bind', EINVAL), NO_SUCH_PROGRAM_MODE))
  assert.ok(isOfMode(refusal('bind', EINVAL), NO_SUCH_SOCKET_MODE))
  assert.ok(!isOfMode(refusal('bind', ENOTSUPP), NO_SUCH_PROGRAM_MODE))
  assert.ok(isOfMode(refusal('bind', ENOTSUPP), NO_SUCH_SOCKET_MODE))
  assert.ok(!isOfMode(refusal('bind', ENOMEM), NO_SUCH_SOCKET_MODE))
  assert.ok(!isOfMode(new CaptureError('XDP_REFUSED', 'without an errno'), NO_SUCH_SOCKET_MODE))
  assert.ok(!isOfMode(new Error('of something else'), NO_SUCH_SOCKET_MODE))
})
