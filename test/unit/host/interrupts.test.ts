import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UnreadFact } from '#src/host/facts.js'
import { parseInterrupts, readInterrupts, receiveQueueOf } from '#src/host/interrupts.js'
import { seededRandom } from '../../support/random.js'
import { type RecordedFile, recordedFiles } from '../../support/recorded-host.js'

test('the receive queue that a name tells', () => {
  for (const [name, queue] of [
    ['eth0-TxRx-3', 3],
    ['eth0-TxRx-11', 11],
    ['i40e-eth0-TxRx-3', 3],
    ['ice-eth0-TxRx-3', 3],
    ['iavf-eth0-TxRx-0', 0],
    ['eth0-rx-0', 0],
    ['eth0-rxtx-2', 2],
    ['eth0-Tx-Rx-3', 3],
    ['eth0-Rx3', 3],
    ['eth0-fp-5', 5],
    ['virtio0-input.3', 3],
    ['mlx5_comp3@pci:0000:3b:00.0', 3],
    ['mana_q7@pci:7870:00:00.0', 7],
    ['eth0-6', 6],
    ['eth0:rx-2', 2],
    ['eth0_rxq5', 5],
    ['ionic-eth0-L0-rx3', 3],
    ['idpf-eth0-TxRx-4', 4],
    ['hns3-0000:7d:00.0-TxRx-2', 2],
    ['eth0-txrx-1', 1],
    ['eth0-q2-rx', 2],
    // Those that serve no receive queue.
    ['eth0', undefined],
    ['eth0-tx-0', undefined],
    ['virtio0-output.3', undefined],
    ['virtio0-config', undefined],
    ['mlx5_async0@pci:0000:3b:00.0', undefined],
    ['ena-mgmnt@pci:0000:00:05.0', undefined],
    ['i40e-0000:3b:00.0:misc', undefined],
    ['i40e-0000:3b:00.0:fdir-TxRx-0', undefined],
    ['eth1-6', undefined],
    ['nvme0q3', undefined],
    ['gve-ntfy-blk3@pci:0000:00:04.0', undefined],
    ['mlx4-3@0000:05:00.0', undefined],
    ['mlx4-async@pci:0000:05:00.0', undefined],
    ['eth0:tx-2', undefined],
    ['eth0:mac', undefined],
    ['eth0_txq5', undefined],
    ['ionic-eth0-L0-tx3', undefined],
    ['eth0-q2-tx', undefined],
    ['eth0-xdp-0', undefined],
    ['', undefined],
  ] as const) {
    assert.equal(receiveQueueOf(name, 'eth0'), queue, name)
  }
})

test('lines of all sorts of chips; CPUs that are offline have no column', () => {
  const text = [
    '           CPU0       CPU2       CPU7',
    '  0:         46          0          0   IO-APIC    2-edge      timer',
    ' 16:          7          0          1   IO-APIC   16-fasteoi   ehci_hcd:usb1, eth1',
    ' 65:          1          2          3 IR-PCI-MSI-edge      eth0',
    ' 66:  863649703          0          0 IR-PCI-MSI 524289-edge      eth0-TxRx-0',
    ' 67:          0          9          0 IR-PCI-MSIX-0000:3b:00.0    1-edge      eth0-TxRx-1',
    ' 68:          0          0          5     GICv3  27 Level     arch_timer',
    ' 69:          0          0          5   ITS-MSI 81921 Edge      eth0-TxRx-2',
    ' 70:          0          0          0   PCI-MSI 81922-edge',
    ' 71:          0          0          4   xen-dyn    -event     eth0-q0-rx',
    ' 72:          0          0          4   xen-dyn-event     eth0-q1-rx',
    'NMI:          1          1          1   Non-maskable interrupts',
    'ERR:          0',
    '',
  ].join('\n')
  assert.deepEqual(
    parseInterrupts(text).map(({ irq, name, counts }) => [irq, name, counts[0], counts[2], counts[7]]),
    [
      [0, 'timer', 46, 0, 0],
      [16, 'ehci_hcd:usb1, eth1', 7, 0, 1],
      [65, 'eth0', 1, 2, 3],
      [66, 'eth0-TxRx-0', 863649703, 0, 0],
      [67, 'eth0-TxRx-1', 0, 9, 0],
      [68, 'arch_timer', 0, 0, 5],
      [69, 'eth0-TxRx-2', 0, 0, 5],
      [70, '', 0, 0, 0],
      [71, 'eth0-q0-rx', 0, 0, 4],
      [72, 'eth0-q1-rx', 0, 0, 4],
    ],
  )
})

test('any text is read without an error', (t) => {
  const random = seededRandom(t)
  const words = ['CPU0', 'CPU1', '12:', ' 3:', 'NMI:', '7', '99', 'IR-PCI-MSI', '1-edge', 'eth0-TxRx-0', 'Edge', '\n', '\n', ' ', ':', ',']
  for (let round = 0; round < 2000; round++) {
    const text = Array.from({ length: random.between(0, 40) }, () => random.pick(words)).join(random.pick(['', ' ']))
    for (const { irq, name } of parseInterrupts(text)) assert.ok(Number.isInteger(irq) && typeof name === 'string')
  }
})

/** A machine of one CPU with these interrupts; `files` tells whose they are. */
function machine(names: readonly string[], files: Record<string, RecordedFile> = {}) {
  const lines = names.map((name, index) => ` ${40 + index}:          ${index} PCI-MSI ${index}-edge      ${name}`)
  const affinity = names.flatMap((_, index) => [
    [`/proc/irq/${40 + index}/smp_affinity_list`, '0-3\n'],
    [`/proc/irq/${40 + index}/effective_affinity_list`, '0\n'],
  ])
  return recordedFiles(
    new Map<string, RecordedFile>([['/proc/interrupts', ['           CPU0', ...lines]], ...(affinity as [string, string][]), ...Object.entries(files)]),
  )
}

function found(files: ReturnType<typeof machine>, name: string): [irq: number, queue: number | undefined][] {
  const unread: UnreadFact[] = []
  const interrupts = readInterrupts(files, name, unread)
  assert.deepEqual(unread, [])
  for (const { affinity, effective } of interrupts) assert.deepEqual([affinity, effective], [[0, 1, 2, 3], [0]])
  return interrupts.map(({ irq, queue }) => [irq, queue])
}

const DEVICE = '/sys/devices/pci0000:00/0000:00:05.0'
const pciDevice = (name: string, irqs: readonly number[]) => ({
  [`/sys/class/net/${name}`]: { link: `../../devices/pci0000:00/0000:00:05.0/net/${name}` },
  [`${DEVICE}/net/${name}/device`]: { link: '../../../0000:00:05.0' },
  [`${DEVICE}/net/${name}/ifindex`]: '2\n',
  ...Object.fromEntries(irqs.map((irq) => [`${DEVICE}/msi_irqs/${irq}`, 'msix\n'])),
})

test('those of the device, whatever they are called', () => {
  const files = machine(['mlx5_async0@pci:0000:00:05.0', 'mlx5_comp0@pci:0000:00:05.0', 'mlx5_comp0@pci:0000:00:06.0'], pciDevice('eth0', [40, 41]))
  assert.deepEqual(found(files, 'eth0'), [
    [40, undefined],
    [41, 0],
  ])
})

test('two ports of one device: each has its own, and what belongs to neither', () => {
  const files = machine(['eth0-0', 'eth0-1', 'eth1-0', 'mlx4-async'], { ...pciDevice('eth0', [40, 41, 42, 43]), ...pciDevice('eth1', []) })
  assert.deepEqual(found(files, 'eth0'), [
    [40, 0],
    [41, 1],
    [43, undefined],
  ])
})

test('virtio: the interrupts of the PCI device behind it', () => {
  const files = machine(['virtio1-config', 'virtio1-input.0', 'virtio1-output.0', 'virtio10-input.0'], {
    '/sys/class/net/eth0': { link: '../../devices/pci0000:00/0000:00:05.0/virtio1/net/eth0' },
    [`${DEVICE}/virtio1/net/eth0/device`]: { link: '../../../virtio1' },
    [`${DEVICE}/msi_irqs/40`]: 'msix\n',
    [`${DEVICE}/msi_irqs/41`]: 'msix\n',
    [`${DEVICE}/msi_irqs/42`]: 'msix\n',
  })
  assert.deepEqual(found(files, 'eth0'), [
    [40, undefined],
    [41, 0],
    [42, undefined],
  ])
})

test('virtio on a bus without MSI has one, and it is named after the device', () => {
  const files = machine(['virtio0', 'virtio1', 'virtio10'], {
    '/sys/class/net/eth0': { link: '../../devices/platform/virtio-mmio/virtio1/net/eth0' },
    '/sys/devices/platform/virtio-mmio/virtio1/net/eth0/device': { link: '../../../virtio1' },
  })
  assert.deepEqual(found(files, 'eth0'), [[41, 0]])
})

test('without a folder of interrupts the name decides, and one alone serves queue 0', () => {
  assert.deepEqual(found(machine(['eth0', 'eth00', 'veth0', 'peth0-rx-0']), 'eth0'), [[40, 0]])
  assert.deepEqual(found(machine(['ehci_hcd:usb1, eth0', 'eth0.5']), 'eth0'), [[40, 0]])
  assert.deepEqual(found(machine(['eth0', 'eth0-rx-0', 'eth0-tx-0']), 'eth0'), [
    [40, undefined],
    [41, 0],
    [42, undefined],
  ])
  assert.deepEqual(found(machine(['nvme0q0']), 'eth0'), [])
})

test('a driver that counts its receive vectors from 1', () => {
  assert.deepEqual(found(machine(['eth0-tx-0', 'eth0-rx-1', 'eth0-rx-2']), 'eth0'), [
    [40, undefined],
    [41, 0],
    [42, 1],
  ])
})

const receiveQueues = (name: string, count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, queue) => [`${DEVICE}/net/${name}/queues/rx-${queue}/rps_cpus`, '0\n']))
/** Queues in the order of the interrupts. */
const queuesIn = (files: ReturnType<typeof machine>, name: string) => found(files, name).map(([, queue]) => queue)
const range = (count: number) => Array.from({ length: count }, (_, index) => index)

test('gve: half of its blocks are for transmit queues, whatever there is of queues', () => {
  const irqs = range(9).map((index) => 40 + index)
  for (const block of [(n: number) => `gve-ntfy-blk${n}@pci:0000:00:05.0`, (n: number) => `eth0-ntfy-block.${n}`]) {
    const names = [...range(8).map(block), 'gve-mgmnt@pci:0000:00:05.0']
    const none = [undefined, undefined, undefined, undefined]
    assert.deepEqual(queuesIn(machine(names, pciDevice('eth0', irqs)), 'eth0'), [...none, 0, 1, 2, 3, undefined])
    assert.deepEqual(queuesIn(machine(names, { ...pciDevice('eth0', irqs), ...receiveQueues('eth0', 2) }), 'eth0'), [
      ...none,
      0,
      1,
      ...none.slice(2),
      undefined,
    ])
  }
})

/** Even CPUs on node 0, odd ones on node 1. */
const NODES = {
  '/sys/devices/system/cpu/online': '0-3\n',
  '/sys/devices/system/node/online': '0-1\n',
  '/sys/devices/system/node/node0/cpulist': '0,2\n',
  '/sys/devices/system/node/node1/cpulist': '1,3\n',
}

test('mlx4: event queues are of CPUs, receive queues on those nearest to the device', () => {
  const names = ['mlx4-async@pci:0000:00:05.0', ...range(4).map((cpu) => `mlx4-${cpu + 1}@0000:00:05.0`)]
  const device = { ...pciDevice('eth0', [40, 41, 42, 43, 44]), ...receiveQueues('eth0', 4) }
  const of = (files: Record<string, RecordedFile>) => queuesIn(machine(names, { ...device, ...files }), 'eth0')
  assert.deepEqual(of({ '/sys/devices/system/cpu/online': '0-3\n' }), [undefined, 0, 1, 2, 3])
  assert.deepEqual(of({ ...NODES, [`${DEVICE}/numa_node`]: '-1\n' }), [undefined, 0, 1, 2, 3])
  // CPUs 1 and 3, then 0 and 2.
  assert.deepEqual(of({ ...NODES, [`${DEVICE}/numa_node`]: '1\n' }), [undefined, 2, 0, 3, 1])
  const three = {
    ...NODES,
    '/sys/devices/system/node/online': '0-2\n',
    '/sys/devices/system/node/node1/cpulist': '1\n',
    '/sys/devices/system/node/node2/cpulist': '3\n',
  }
  assert.deepEqual(of(three), [undefined, undefined, undefined, undefined, undefined])
  // Whose port it is, is not told.
  assert.deepEqual(of({ ...pciDevice('eth1', []), '/sys/devices/system/cpu/online': '0-3\n' }), [undefined, undefined, undefined, undefined, undefined])
})

test('atlantic: all have the name of the interface, that of the link comes last', () => {
  const files = {
    ...pciDevice('eth0', [40, 41, 42]),
    ...receiveQueues('eth0', 2),
    [`${DEVICE}/driver`]: { link: '../../../bus/pci/drivers/atlantic' },
  }
  assert.deepEqual(queuesIn(machine(['eth0', 'eth0', 'eth0'], files), 'eth0'), [0, 1, undefined])
  // Of another driver they tell nothing.
  assert.deepEqual(queuesIn(machine(['eth0', 'eth0', 'eth0'], { ...files, [`${DEVICE}/driver`]: { link: '../drivers/fec' } }), 'eth0'), [
    undefined,
    undefined,
    undefined,
  ])
})

test('stmmac and hinic are found by their names, and no USB bus is an interface', () => {
  assert.deepEqual(found(machine(['eth0:mac', 'eth0:rx-0', 'eth0:rx-1', 'eth0:tx-0', 'eth00:rx-0']), 'eth0'), [
    [40, undefined],
    [41, 0],
    [42, 1],
    [43, undefined],
  ])
  assert.deepEqual(found(machine(['eth0_rxq0', 'eth0_txq0']), 'eth0'), [
    [40, 0],
    [41, undefined],
  ])
  assert.deepEqual(found(machine(['ehci_hcd:usb1']), 'usb1'), [])
})

test('what cannot be read is told', () => {
  const unread: UnreadFact[] = []
  assert.deepEqual(readInterrupts(recordedFiles(new Map([['/proc/interrupts', { errno: 13 }]])), 'eth0', unread), [])
  assert.deepEqual(unread, [{ what: 'interrupts', source: '/proc/interrupts', reason: 'EACCES: permission denied' }])

  const hidden = recordedFiles(
    new Map<string, RecordedFile>([['/proc/interrupts', ['           CPU0', ' 40:  1 PCI-MSI 0-edge eth0', ' 41:  1 PCI-MSI 0-edge eth0-rx-0']]]),
  )
  const [only] = readInterrupts(hidden, 'eth0', unread)
  assert.deepEqual([only?.affinity, only?.effective, only?.counts], [undefined, undefined, { 0: 1 }])
  assert.deepEqual(unread.slice(1), [{ what: 'interrupt affinity', source: '/proc/irq/40/smp_affinity_list', reason: 'ENOENT: no such file or directory' }])
})
