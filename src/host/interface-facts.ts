/** One interface, from what the kernel answers and what the files of the host say. Pure. */
import { IFF_UP } from '../kernel/abi/if.js'
import { parseCpuList, parseCpuMask } from '../kernel/cpus.js'
import { ENOENT } from '../kernel/errno.js'
import type { Answer, DeviceAnswers, PeerAnswer } from './device-answers.js'
import type { FlowHashFacts, InterfaceFacts, QueueFacts, RssFacts, TransmitQueueFacts, UnreadFact } from './facts.js'
import { type HostFiles, isUnreadable, listNames, readLine, readNumber, unreadFact } from './host-files.js'
import { readInterrupts } from './interrupts.js'
import { promiscuousHolders } from './promiscuity.js'
import { LOWER_DEVICES } from './stacked.js'

export function interfaceFacts(answers: DeviceAnswers, files: HostFiles, netns?: string): InterfaceFacts {
  const unread: UnreadFact[] = []
  const told = <T>(what: string, answer: Answer<T>): T | undefined => {
    if (answer.unread !== undefined) unread.push({ what, ...answer.unread })
    return answer.value
  }
  const { link } = answers
  const driver = told('driver', answers.driver)
  const settings = told('link settings', answers.settings)
  const channels = told('channels', answers.channels)
  const count = (kind: 'rx' | 'tx') => (channels === undefined ? 0 : channels.combined.current + channels[kind].current)
  const rss = rssFacts(told('RSS', answers.rss), files)
  const promiscuous = { on: link.promiscuity > 0, count: link.promiscuity, holders: promiscuousHolders(answers, files, unread) }
  const facts: InterfaceFacts = {
    name: link.name,
    index: link.index,
    netns,
    up: (link.flags & IFF_UP) !== 0,
    operState: link.operState,
    mac: link.mac,
    ...(link.permanentMac !== undefined && { permanentMac: link.permanentMac }),
    mtu: link.mtu,
    linkType: link.type,
    kind: link.kind,
    ...(link.vlanId !== undefined && { vlanId: link.vlanId }),
    ...(answers.lowers && { lowers: (told(LOWER_DEVICES, answers.lowers) ?? []).map((lower) => ({ name: lower.name, netns: lower.netns ?? netns })) }),
    driver: driver?.driver || undefined,
    driverVersion: driver?.version || undefined,
    firmware: driver?.firmware || undefined,
    bus: driver?.bus || undefined,
    numaNode: undefined,
    speedMbps: settings?.speedMbps,
    duplex: settings?.duplex,
    promiscuous,
    rxQueues: count('rx') || link.rxQueues,
    txQueues: count('tx') || link.txQueues,
    ...(answers.peer && peerFacts(told('other end of the veth', answers.peer), netns)),
    channels,
    rings: told('ring sizes', answers.rings),
    rss,
    flowHash: flowHashFacts(told('hash fields', answers.flowHash), rss),
    features: told('features', answers.features) ?? {},
    coalescing: told('coalescing', answers.coalescing),
    timestamping: timestampingFacts(told('timestamping', answers.timestamping)),
    receiveQueues: [],
    transmitQueues: [],
    ...(files.foreignSysfs === true && { foreignSysfs: true }),
    interrupts: [],
    xdpFeatures: told('XDP features', answers.xdpFeatures),
    xdpPrograms: (told('XDP programs', answers.xdpPrograms) ?? []).map(({ mode, programId, name }) => ({
      mode,
      programId,
      name: told(`name of XDP program ${programId}`, name),
    })),
    use: told('use', answers.use) ?? [],
    defaultRoute: told('default route', answers.defaultRoute),
    unread,
  }
  if (!showsInterface(files, link, unread)) return facts
  return {
    ...facts,
    numaNode: numaNodeOf(files, link.name),
    ...threadedNapi(files, link.name),
    ...(facts.driver === 'virtio_net' && virtioFeatures(files, link.name)),
    receiveQueues: receiveQueues(files, link.name, unread),
    transmitQueues: transmitQueues(files, link.name),
    interrupts: readInterrupts(files, link.name, unread),
  }
}

function peerFacts(peer: PeerAnswer | undefined, netns: string | undefined): Pick<InterfaceFacts, 'peerTxQueues' | 'peer'> {
  if (peer === undefined) return { peerTxQueues: undefined }
  return { peerTxQueues: peer.txQueues, peer: { name: peer.name, netns: peer.netns ?? netns, features: peer.features.value ?? {} } }
}

/** False where /sys has no such interface, or another one of this name: it is that of another network namespace. */
function showsInterface(files: HostFiles, link: DeviceAnswers['link'], unread: UnreadFact[]): boolean {
  const folder = `/sys/class/net/${link.name}`
  const what = 'NUMA node, queues and interrupts'
  const index = files.read(`${folder}/ifindex`)
  if (isUnreadable(index) && index.errno !== ENOENT) {
    unread.push(unreadFact(what, folder, index))
    return false
  }
  const address = readLine(files, `${folder}/address`) ?? ''
  if (!isUnreadable(index) && Number(index) === link.index && address === (link.mac ?? '')) return true
  unread.push({ what, source: folder, reason: 'it shows the interfaces of another network namespace; to mount ours takes CAP_SYS_ADMIN and Linux 5.2' })
  return false
}

function rssFacts(rss: DeviceAnswers['rss']['value'], files: HostFiles): RssFacts | undefined {
  // A driver that has neither answers nevertheless: virtio_net on a device without RSS.
  if (rss === undefined || (rss.indirection.length === 0 && rss.key === '')) return undefined
  const { indirection, key, hashFunction, inputTransform } = rss
  // A key of zeros sends every flow to one queue.
  const repeats = /^([0-9a-f]{4})\1*$/.test(key) && !/^0+$/.test(key)
  return {
    indirection,
    key: key === '' ? undefined : key,
    symmetric: inputTransform !== 0 || (repeats && (hashFunction ?? 'toeplitz') === 'toeplitz'),
    hashFunction,
    // The field was reserved, and always 0.
    inputTransform: isSince(readLine(files, '/proc/sys/kernel/osrelease') ?? '', 6, 8) ? inputTransform : undefined,
  }
}

/** Undefined without RSS and with no field of any flow: virtio_net answers so on a device that cannot hash. */
function flowHashFacts(flowHash: FlowHashFacts | undefined, rss: RssFacts | undefined): FlowHashFacts | undefined {
  return rss === undefined && Object.values(flowHash ?? {}).every((fields) => fields === '') ? undefined : flowHash
}

function timestampingFacts(info: DeviceAnswers['timestamping']['value']): InterfaceFacts['timestamping'] {
  return info && { ...info, receiveFilters: info.receiveFilters ?? [], ptpClock: info.ptpClock }
}

function isSince(release: string, major: number, minor: number): boolean {
  const [ours = 0, theirs = 0] = release.split('.').map((part) => Number.parseInt(part, 10))
  return ours > major || (ours === major && theirs >= minor)
}

/** Undefined on a machine of one node, and where the device does not say. */
function numaNodeOf(files: HostFiles, name: string): number | undefined {
  if (parseCpuList(readLine(files, '/sys/devices/system/node/online') ?? '').length < 2) return undefined
  const device = `/sys/class/net/${name}/device`
  const node = readNumber(files, `${device}/numa_node`) ?? readNumber(files, `${device}/../numa_node`)
  return node === undefined || node < 0 ? undefined : node
}

function threadedNapi(files: HostFiles, name: string): Pick<InterfaceFacts, 'threaded'> {
  const threaded = readNumber(files, `/sys/class/net/${name}/threaded`)
  return threaded === undefined ? {} : { threaded }
}

/** A digit for each feature, the first for number 0 (features_show of virtio). */
function virtioFeatures(files: HostFiles, name: string): Pick<InterfaceFacts, 'virtioFeatures'> {
  const digits = readLine(files, `/sys/class/net/${name}/device/features`)
  return digits === undefined ? {} : { virtioFeatures: [...digits].flatMap((digit, number) => (digit === '1' ? [number] : [])) }
}

/** Numbers of the folders `rx-0`, `rx-1`, … in their order. */
function queueNumbers(files: HostFiles, name: string, kind: 'rx' | 'tx'): number[] {
  const folders = listNames(files, `/sys/class/net/${name}/queues`)
  return folders.flatMap((folder) => (folder.startsWith(`${kind}-`) ? [Number(folder.slice(3))] : [])).sort((a, b) => a - b)
}

function receiveQueues(files: HostFiles, name: string, unread: UnreadFact[]): QueueFacts[] {
  return queueNumbers(files, name, 'rx').flatMap((queue) => {
    const path = `/sys/class/net/${name}/queues/rx-${queue}/rps_cpus`
    const mask = files.read(path)
    if (!isUnreadable(mask)) return [{ queue, rpsCpus: parseCpuMask(mask), rpsFlowCount: readNumber(files, path.replace('rps_cpus', 'rps_flow_cnt')) ?? 0 }]
    // A kernel without RPS has no such file, for any queue.
    if (!unread.some(({ what }) => what === 'RPS')) unread.push(unreadFact('RPS', path, mask))
    return []
  })
}

function transmitQueues(files: HostFiles, name: string): TransmitQueueFacts[] {
  return queueNumbers(files, name, 'tx').map((queue) => {
    // ENOENT where there is a single queue, or no XPS.
    const mask = (file: string) => {
      const text = readLine(files, `/sys/class/net/${name}/queues/tx-${queue}/${file}`)
      return text === undefined ? undefined : parseCpuMask(text)
    }
    const xpsReceivers = mask('xps_rxqs')
    return { queue, xpsCpus: mask('xps_cpus'), ...(xpsReceivers && { xpsReceivers }) }
  })
}
