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
import { parseMountinfo } from '../mountinfo.js'
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

/** Where a namespace is to be entered, and which it is said to be. */
export interface Sighting {
  inode: number
  path: string
}

/** Namespaces that may not be entered are left out. */
export function findInterfaces(kernel: Kernel, { netns }: InterfaceScope = {}): Whereabouts {
  const entered = new Set<number>()
  const interfaces: PresentInterface[] = []
  const enter = (path: string | undefined, inode: number | undefined): boolean => {
    try {
      interfaces.push(...interfacesOf(kernel, path))
      if (inode !== undefined) entered.add(inode)
      return true
    } catch (error) {
      if (error instanceof CaptureError) return false
      throw error
    }
  }
  let isComplete = seesAllProcesses()
  // Without /proc there is this one alone.
  if (!enter(undefined, inodeOf(OWN_NAMESPACE))) isComplete = false
  const asked = netns === undefined ? undefined : namespacePath(netns)
  const inode = asked === undefined ? undefined : inodeOf(asked)
  if (inode !== undefined && !entered.has(inode) && !enter(asked, inode)) isComplete = false
  const { sightings, isWhole } = lookAround()
  for (const { inode, path } of sightings) {
    // NB: what is mounted may have something else mounted upon it.
    if (!entered.has(inode) && inodeOf(path) === inode) enter(path, inode)
  }
  return { interfaces, isComplete: isComplete && isWhole && sightings.every(({ inode }) => entered.has(inode)) }
}

/** Not so in a container, nor with hidepid. */
function seesAllProcesses(): boolean {
  return orNone(() => readlinkSync('/proc/self/ns/pid')) === FIRST_PID_NAMESPACE && orNone(() => statSync('/proc/1')) !== undefined
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

/**
 * What every thread is in, what is mounted in every mount namespace and what every descriptor holds. It is the whole only where nothing was refused and
 * no mount namespace without a process is in sight, which cannot be looked into. NB: a socket alone keeps its namespace as well, and is not looked at.
 */
export function lookAround(proc = '/proc'): { sightings: Sighting[]; isWhole: boolean } {
  const look = new Look(proc)
  // The names that people know first.
  look.atMounts(`${proc}/self`, '')
  const pids = look.list(proc).filter((name) => /^\d+$/.test(name))
  for (const pid of pids) look.atThreads(pid)
  for (const pid of pids) look.atFiles(pid)
  return { sightings: look.sightings, isWhole: look.isWhole }
}

class Look {
  readonly sightings: Sighting[] = []
  readonly #proc: string
  #isRefused = false
  /** Of mount namespaces the roots from which they have been read. */
  readonly #read = new Map<number, Set<string>>()
  readonly #mountNamespaces = new Set<number>()

  constructor(proc: string) {
    this.#proc = proc
  }

  get isWhole(): boolean {
    return !this.#isRefused && [...this.#mountNamespaces].every((inode) => this.#read.get(inode)?.has('/') === true)
  }

  atThreads(pid: string): void {
    for (const task of this.#tasks(pid)) {
      this.#see('net', `${task}/ns/net`)
      this.atMounts(task, `${task}/root`)
    }
  }

  /** A leader that has ended has no descriptors, its threads have them still. */
  atFiles(pid: string): void {
    for (const task of this.#tasks(pid)) {
      const files = this.list(`${task}/fd`)
      for (const fd of files) {
        const link = this.#ask(() => readlinkSync(`${task}/fd/${fd}`))
        if (link !== undefined) this.#note(link, `${task}/fd/${fd}`)
      }
      if (files.length > 0) return
    }
  }

  #tasks(pid: string): string[] {
    const process = `${this.#proc}/${pid}`
    return this.list(`${process}/task`).map((tid) => (tid === pid ? process : `${process}/task/${tid}`))
  }

  list(path: string): string[] {
    return this.#ask(() => readdirSync(path)) ?? []
  }

  #see(kind: 'net' | 'mnt', path: string): number | undefined {
    const link = this.#ask(() => readlinkSync(path))
    if (link !== undefined) this.#note(link, path)
    return link === undefined ? undefined : inodeIn(kind, link)
  }

  #note(link: string, path: string): void {
    const inode = inodeIn('net', link)
    if (inode !== undefined) this.sightings.push({ inode, path })
    const mounts = inodeIn('mnt', link)
    if (mounts !== undefined) this.#mountNamespaces.add(mounts)
  }

  /** Once for all that are in a mount namespace and have the same root: what is outside of that is not shown. */
  atMounts(task: string, at: string): void {
    const inode = this.#see('mnt', `${task}/ns/mnt`)
    const root = this.#ask(() => readlinkSync(`${task}/root`))
    if (inode === undefined || root === undefined || this.#read.get(inode)?.has(root) === true) return
    const text = this.#ask(() => readFileSync(`${task}/mountinfo`, 'utf8'))
    if (text === undefined) return
    this.#read.set(inode, new Set([...(this.#read.get(inode) ?? []), root]))
    for (const { link, point } of mountedNamespaces(text)) this.#note(link, `${at}${point}`)
  }

  #ask<T>(read: () => T): T | undefined {
    try {
      return read()
    } catch (error) {
      if (!GONE.includes((error as NodeJS.ErrnoException).code ?? '')) this.#isRefused = true
      return undefined
    }
  }
}

/** What /proc says of a process that has ended; EINVAL of its mounts. */
const GONE: readonly string[] = ['ENOENT', 'ESRCH', 'EINVAL']

/** Of container engines also those that neither ip-netns(8) nor a process has. */
function mountedNamespaces(mountinfo: string): { link: string; point: string }[] {
  return parseMountinfo(mountinfo).flatMap(({ root, place }) => (/^(net|mnt):\[/.test(root) ? [{ link: root, point: place }] : []))
}

function inodeIn(kind: 'net' | 'mnt', link: string): number | undefined {
  return link.startsWith(`${kind}:[`) ? Number.parseInt(link.slice(kind.length + 2), 10) : undefined
}

function orNone<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
