import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bpfFailed, newAttributes, setPointer, writeName } from '#src/kernel/bpf-call.js'
import { CAP_BPF, EINVAL, ENOMEM, EPERM } from '#src/kernel/errno.js'
import { openKernel } from '#src/kernel/system.js'

test('names as the kernel takes them', () => {
  const named = (name: string) => {
    const bytes = new Uint8Array(20).fill(0)
    writeName(bytes, 2, name)
    return Buffer.from(bytes.subarray(2)).toString('latin1').replace(/\0+$/, '')
  }
  assert.equal(named('ringtap_xsk'), 'ringtap_xsk')
  assert.equal(named('a name-that/is.too long'), 'a_name_that_is.')
  assert.equal(named('ünß'), '_n_')
})

test('pointers', () => {
  const kernel = openKernel()
  const buffer = new ArrayBuffer(64)
  const attributes = newAttributes(16)
  setPointer(kernel, attributes, 8, new Uint8Array(buffer, 5))
  assert.equal(attributes.view.getBigUint64(8, true), kernel.addressOf(buffer) + 5n)
  assert.deepEqual([...attributes.bytes.subarray(0, 8)], [0, 0, 0, 0, 0, 0, 0, 0])
})

test('a missing capability is named with all that grants it', () => {
  const error = bpfFailed({ subject: 'ringtap_xsk', call: 'bpf(BPF_PROG_LOAD)', errno: -EPERM, capability: CAP_BPF }, '6.18.0-1-amd64')
  assert.equal(error.code, 'PERMISSION')
  assert.equal(
    error.message,
    'ringtap_xsk: bpf(BPF_PROG_LOAD): EPERM: permission denied, CAP_BPF and CAP_NET_ADMIN (before Linux 5.8 CAP_SYS_ADMIN) is missing',
  )
  assert.match(error.hint ?? '', /setcap cap_bpf,cap_net_admin,cap_net_raw\+eip "\$\(readlink -f "\$\(which node\)"\)"/)
  assert.match(error.hint ?? '', /AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN CAP_BPF/)
  assert.match(error.hint ?? '', /unprivileged_bpf_disabled makes no difference/)
  assert.doesNotMatch(error.hint ?? '', /LimitMEMLOCK/)
})

test('before Linux 5.11 the limit on locked memory may be the reason', () => {
  const hint = (release: string, errno: number) => bpfFailed({ subject: 'a', call: 'b', errno, hint: 'this' }, release).hint
  for (const errno of [EPERM, ENOMEM]) {
    for (const release of ['5.10.0-30-amd64', '4.18.0', '5.4'])
      assert.match(hint(release, errno) ?? '', /^this; before .*ulimit -l unlimited.*LimitMEMLOCK=infinity$/)
    for (const release of ['5.11.0', '5.15.0-91-generic', '6.1', '10.0']) assert.equal(hint(release, errno), 'this')
  }
  assert.equal(hint('5.4.0', EINVAL), 'this')
  const bare = bpfFailed({ subject: 'a', call: 'b', errno: ENOMEM, code: 'XDP_REFUSED', detail: 'c' }, '5.4.0')
  assert.deepEqual([bare.code, bare.errno, bare.errnoName, bare.syscall], ['XDP_REFUSED', ENOMEM, 'ENOMEM', 'b'])
  assert.equal(bare.message, 'a: b: ENOMEM (not enough memory): c')
  assert.match(bare.hint ?? '', /^before Linux 5.11/)
})
