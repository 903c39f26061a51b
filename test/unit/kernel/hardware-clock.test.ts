import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Descriptor } from '#src/kernel/descriptor.js'
import { stampsArrivals } from '#src/kernel/hardware-clock.js'
import { bpfMemory } from '../../support/bpf-memory.js'
import { fakeKernel } from '../../support/fake-kernel.js'

const EOPNOTSUPP = 95

/** A NIC whose struct hwtstamp_config has this `rx_filter`. */
function nic(rxFilter: number) {
  const kernel = fakeKernel()
  const memory = bpfMemory(kernel)
  kernel.answer('ioctl', (_fd, request, ifreq) => {
    assert.equal(request, 0x89b1)
    const config = memory.at(ifreq, 16) as Uint8Array
    assert.equal(config.length, 12)
    new DataView(config.buffer, config.byteOffset).setInt32(8, rxFilter, true)
    return 0
  })
  return kernel
}

test('off until somebody turns it on', () => {
  const kernel = nic(0)
  assert.equal(stampsArrivals(kernel, new Descriptor(kernel, 7), 'eth0'), false)
  const [call] = kernel.calls.filter(({ name }) => name === 'ioctl')
  const [fd, , ifreq] = call.arguments as [number, number, Uint8Array]
  assert.equal(fd, 7)
  assert.equal(Buffer.from(ifreq.subarray(0, 16)).toString('latin1'), 'eth0'.padEnd(16, '\0'))
  // HWTSTAMP_FILTER_ALL, and some that stamp only packets of the time protocol.
  for (const filter of [1, 2, 12]) assert.equal(stampsArrivals(nic(filter), new Descriptor(kernel, 7), 'eth0'), true)
})

test('a driver that does not tell', () => {
  const kernel = nic(1)
  kernel.fail('ioctl', EOPNOTSUPP)
  assert.equal(stampsArrivals(kernel, new Descriptor(kernel, 7), 'eth0'), undefined)
})
