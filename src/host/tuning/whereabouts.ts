/** Where the interfaces of this machine are: every network namespace that a process is in, that is mounted somewhere or that a descriptor holds. */
import { fstatSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { CaptureError } from '../../errors.js'
import { SIOCGSKNS } from '../../kernel/abi/if.js'
import { SO_NETNS_COOKIE, SOL_SOCKET } from '../../kernel/abi/socket.js'
import { Descriptor } from '../../kernel/descriptor.js'
import { openControlSocket } from '../../kernel/ethtool.js'
import { readDriver } from '../../kernel/ethtool-device.js'
import { namespacePath, openNamespace, withNamespace } from '../../kernel/namespace.js'
import { listLinks, RouteSocket } from '../../kernel/netlink.js'
import type { Kernel } from '../../kernel/system.js'
import { FIRST_PID_NAMESPACE } from '../host-facts.js'
import { type InterfaceScope, macText } from '../interfaces.js'
import type { NetworkNamespace, PresentInterface, Whereabouts } from './access.js'

const OWN_NAMESPACE = '/proc/thread-self/ns/net'
const BOOT_ID = '/proc/sys/kernel/random/boot_id'

/** The calling thread's namespace, in which `control` was made; undefined without /proc and without CAP_NET_ADMIN. */
export function namespaceOf(kernel: Kernel, control: Descriptor): NetworkNamespace | undefined {
  const netnsInode = inodeOf(OWN_NAMESPACE) ?? inodeBySocket(kernel, control)
  if (netnsInode === undefined) return undefined
  return { netnsInode, netnsCookie: cookieOf(kernel, control), bootId: orNone(() => readFileSync(BOOT_ID, 'latin1').trim()) }
}

/** The number that names a namespace: what `ls -l /proc/PID/ns/net` shows. */
function inodeOf(path: string): number | undefined {
  return orNone(() => statSync(path).ino)
}

function inodeBySocket(kernel: Kernel, control: Descriptor): number | undefined {
  const fd = kernel.ioctl(control.fd, SIOCGSKNS, new Uint8Array(8))
  if (fd < 0) return undefined
  using namespace = new Descriptor(kernel, fd)
  return fstatSync(namespace.fd).ino
}

function cookieOf(kernel: Kernel, control: Descriptor): string | undefined {
  const cookie = new BigUint64Array(1)
  return kernel.getsockopt(control.fd, SOL_SOCKET, SO_NETNS_COOKIE, new Uint8Array(cookie.buffer)) < 0 ? undefined : `${cookie[0]}`
}

/** Namespaces that may not be entered are left out. */
export function findInterfaces(kernel: Kernel, { netns }: InterfaceScope = {}): Whereabouts {
  const seen = new Set<number>()
  const interfaces: PresentInterface[] = []
  let isComplete = seesAllProcesses()
  for (const path of [undefined, ...(netns === undefined ? [] : [namespacePath(netns)]), ...mounted(), ...ofProcesses()]) {
    const inode = inodeOf(path ?? OWN_NAMESPACE)
    if (inode === undefined && isDenied(path ?? OWN_NAMESPACE)) isComplete = false
    // Without /proc there is this one alone.
    if (path !== undefined && (inode === undefined || seen.has(inode))) continue
    if (inode !== undefined) seen.add(inode)
    try {
      interfaces.push(...interfacesOf(kernel, path))
    } catch (error) {
      if (!(error instanceof CaptureError)) throw error
      isComplete = false
    }
  }
  return { interfaces, isComplete }
}

/** Not so in a container, nor with hidepid. */
function seesAllProcesses(): boolean {
  return orNone(() => readlinkSync('/proc/self/ns/pid')) === FIRST_PID_NAMESPACE && orNone(() => statSync('/proc/1')) !== undefined
}

/** Not merely gone. */
function isDenied(path: string): boolean {
  try {
    statSync(path)
    return false
  } catch (error) {
    return ['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')
  }
}

function interfacesOf(kernel: Kernel, netns: string | undefined): PresentInterface[] {
  using namespace = netns === undefined ? undefined : openNamespace(kernel, netns)
  return withNamespace(kernel, namespace, () => {
    using route = RouteSocket.open(kernel)
    using control = openControlSocket(kernel)
    const place = namespaceOf(kernel, control)
    if (place === undefined) return []
    return listLinks(route).map(({ index, name, address, permanentAddress }) => {
      const device = driverOf(kernel, control, name)
      const identity = { permanentMac: macText(permanentAddress), bus: device?.bus || undefined, driver: device?.driver || undefined }
      return { ...place, netns, index, name, mac: macText(address), ...identity }
    })
  })
}

/** One that has just gone tells nothing. */
function driverOf(kernel: Kernel, control: Descriptor, name: string) {
  try {
    return readDriver(kernel, control, name)
  } catch (error) {
    if (error instanceof CaptureError) return undefined
    throw error
  }
}

/** Also those that neither ip-netns(8) nor a process has: of container engines. */
function mounted(): string[] {
  const lines = orNone(() => readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) ?? []
  return lines.flatMap((line) => {
    const [, , , root, point] = line.split(' ')
    return root?.startsWith('net:[') && point !== undefined
      ? [point.replaceAll(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))]
      : []
  })
}

function ofProcesses(): string[] {
  const pids = (orNone(() => readdirSync('/proc')) ?? []).filter((name) => /^\d+$/.test(name))
  const held = pids.flatMap((pid) => {
    const files = orNone(() => readdirSync(`/proc/${pid}/fd`)) ?? []
    return files.map((fd) => `/proc/${pid}/fd/${fd}`).filter((path) => orNone(() => readlinkSync(path))?.startsWith('net:['))
  })
  return [...pids.map((pid) => `/proc/${pid}/ns/net`), ...held]
}

function orNone<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
