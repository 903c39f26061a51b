import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CaptureError } from '#src/errors.js'
import * as errno from '#src/kernel/errno.js'

test('every exported number has the name that it is exported under', () => {
  const numbers = Object.entries(errno as Record<string, unknown>).filter(([, value]) => typeof value === 'number')
  assert.ok(numbers.length > 10)
  for (const [name, number] of numbers) assert.equal(errno.errnoName(number as number), name)
})

test('names and texts', () => {
  assert.equal(errno.errnoName(19), 'ENODEV')
  assert.equal(errno.errnoText(19), 'no such device')
  // Linux's own, which leak out of bpf(2) and drivers.
  assert.equal(errno.errnoName(524), 'ENOTSUPP')
  assert.equal(errno.errnoText(524), 'ENOTSUPP')
  assert.equal(errno.errnoName(4000), 'errno 4000')
})

test('a failed call names subject, call, errno and text', () => {
  const error = errno.callFailed({ subject: 'eth0', call: 'bind(ETH_P_ALL)', errno: -100, hint: 'ip link set eth0 up', code: 'INTERFACE_DOWN' })
  assert.ok(error instanceof CaptureError)
  assert.equal(error.message, 'eth0: bind(ETH_P_ALL): ENETDOWN (network is down)')
  assert.deepEqual(
    [error.code, error.errno, error.errnoName, error.hint, error.syscall],
    ['INTERFACE_DOWN', 100, 'ENETDOWN', 'ip link set eth0 up', 'bind(ETH_P_ALL)'],
  )
  assert.equal(errno.callFailed({ subject: 'a', call: 'b', errno: 12 }).code, 'SYSTEM_CALL_FAILED')
})

test('EPERM and EACCES become PERMISSION with the way to grant the capability', () => {
  for (const number of [errno.EPERM, errno.EACCES]) {
    const error = errno.callFailed({
      subject: 'eth0',
      call: 'socket(AF_PACKET)',
      errno: -number,
      capability: 'CAP_NET_RAW',
      hint: 'never shown',
      code: 'RING_REFUSED',
    })
    assert.equal(error.code, 'PERMISSION')
    assert.match(error.message, /permission denied, CAP_NET_RAW is missing/)
    assert.match(error.hint ?? '', /setcap cap_net_raw/)
  }
  // Another errno of the same call is no matter of privileges; nor is EPERM where no capability is to blame.
  assert.equal(
    errno.callFailed({ subject: 'a', call: 'b', errno: errno.ENODEV, capability: 'CAP_NET_RAW', code: 'NO_SUCH_INTERFACE' }).code,
    'NO_SUCH_INTERFACE',
  )
  assert.equal(errno.callFailed({ subject: 'a', call: 'b', errno: errno.EPERM }).code, 'SYSTEM_CALL_FAILED')
})
