import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CaptureOptions } from '#src/capture/api.js'
import { prepareFilter } from '#src/capture/filter.js'
import { openCaptureWith } from '#src/capture/open.js'
import { packets } from '#src/capture/packets.js'
import { planCapture } from '#src/capture/plan.js'
import { compileFilter } from '#src/filter/compile.js'
import { FilterError } from '#src/filter/filter-error.js'
import { fakeKernel } from '../../support/fake-kernel.js'

const prepare = (options: Omit<CaptureOptions, 'interface'>) =>
  prepareFilter(planCapture({ interface: 'eth0', ...options }, { pageSize: 4096, cpus: [0], availableMemoryBytes: 2 ** 40 }))

test('sockets look for the tag beside the packet, XDP in it', async () => {
  const filter = await prepare({ filter: 'vlan 5' })
  assert.deepEqual(filter?.('ring', 0), compileFilter('vlan 5', { vlan: 'ancillary' }).instructions)
  assert.deepEqual(filter?.('recv', 0), filter?.('ring', 0))
  assert.deepEqual(filter?.('xdp', 0), compileFilter('vlan 5', { vlan: 'packet' }).instructions)
})

test('names are those of the system, the netmask that of each interface', async () => {
  assert.deepEqual((await prepare({ filter: 'udp port domain' }))?.('xdp', 0), compileFilter('udp port 53').instructions)
  const broadcast = await prepare({ filter: 'ip broadcast' })
  assert.deepEqual(broadcast?.('xdp', 0xffffff00), compileFilter('ip broadcast', { netmask: 0xffffff00 }).instructions)
  assert.notDeepEqual(broadcast?.('xdp', 0xffffff00), broadcast?.('xdp', 0))
})

test('a program that is there already is not compiled again', async () => {
  const filter = await prepare({ filter: 'ip broadcast' })
  assert.equal(filter?.('ring', 0), filter?.('recv', 0))
  assert.equal(filter?.('xdp', 0xffffff00), filter?.('xdp', 0xffffff00))
  assert.notEqual(filter?.('xdp', 0), filter?.('ring', 0))
})

test('no filter', async () => {
  assert.equal(await prepare({}), undefined)
  assert.equal(await prepare({ filter: '' }), undefined)
})

test('what is no expression is told before anything is opened', async () => {
  for (const backend of ['ring', 'recv', 'xdp'] as const) {
    for (const filter of ['tcp port htpp', 'udp and', 'ip and arp', 'port']) {
      const kernel = fakeKernel()
      await assert.rejects(openCaptureWith(kernel, { interface: 'eth0', backend, filter }), (error) => error instanceof FilterError && error.text === filter)
      assert.deepEqual(
        kernel.names().filter((name) => name !== 'schedGetaffinity'),
        [],
      )
    }
  }
  await assert.rejects(packets({ interface: 'nosuch', filter: 'udp and' }).next(), FilterError)
})
