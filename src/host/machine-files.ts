/** The files of this machine, with /sys as one network namespace has it. */
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { CaptureError } from '../errors.js'
import { Descriptor } from '../kernel/descriptor.js'
import { EACCES, EIO, ENOENT, EPERM, errnoName, errnoText } from '../kernel/errno.js'
import { openNamespace, withNamespace } from '../kernel/namespace.js'
import { openSysfs } from '../kernel/sysfs.js'
import type { Kernel } from '../kernel/system.js'
import type { Unreadable, WritableHostFiles } from './host-files.js'

export interface MachineFiles extends WritableHostFiles, Disposable {
  /** /sys is mounted for it: how the one that all see is mounted does not matter. */
  readonly ownSysfs: boolean
  /** Idempotent. */
  close(): void
}

/**
 * Opens the files of this machine. /sys/class/net shows the interfaces of the namespace that is asked for, or of the calling thread's: sysfs is
 * mounted for that, where nobody else sees it. Without CAP_SYS_ADMIN or /proc, or before Linux 5.2, it is the one at /sys, which may be that of another
 * namespace; with `netns` there is none then.
 * NB: /proc/sys/net is always that of the thread that reads.
 * @throws CaptureError NO_SUCH_NAMESPACE, PERMISSION for a namespace that may not be entered.
 */
export function openMachineFiles(kernel: Kernel, netns?: string): MachineFiles {
  using namespace = netns === undefined ? undefined : openNamespace(kernel, netns)
  const sysfs = withNamespace(kernel, namespace, () => sysfsOf(kernel))
  // Without /proc a descriptor has no path.
  const reachable = sysfs instanceof Descriptor && existsSync(`/proc/self/fd/${sysfs.fd}`)
  /** Where a path is to be found, or why it is not. */
  const at = (path: string): string | Unreadable => {
    if (!path.startsWith('/sys/')) return path
    if (sysfs instanceof Descriptor && reachable) return `/proc/self/fd/${sysfs.fd}${path.slice('/sys'.length)}`
    if (netns === undefined) return path
    return sysfs instanceof Descriptor ? { errno: ENOENT } : sysfs
  }
  const close = () => {
    if (sysfs instanceof Descriptor) sysfs.close()
  }
  return {
    ownSysfs: sysfs instanceof Descriptor,
    foreignSysfs: sysfs instanceof Descriptor ? isForeign(sysfs) : undefined,
    read: (path) => attempt(at(path), (found) => readFileSync(found, 'latin1')),
    list: (path) => attempt(at(path), (found) => readdirSync(found)),
    link: (path) => attempt(at(path), (found) => readlinkSync(found)),
    mode: (path) => attempt(at(path), (found) => statSync(found).mode & 0o777),
    write(path, text) {
      const result = attempt(at(path), (found) => writeFileSync(found, text))
      if (result !== undefined) throw writeFailed(path, text, result.errno)
    },
    close,
    [Symbol.dispose]: close,
  }
}

function sysfsOf(kernel: Kernel): Descriptor | Unreadable {
  try {
    return openSysfs(kernel)
  } catch (error) {
    if (error instanceof CaptureError && error.errno !== undefined) return { errno: error.errno }
    throw error
  }
}

/** sysfs has one superblock for each network namespace, and so one device number. */
function isForeign(own: Descriptor): boolean | undefined {
  const device = (folder: string) => attempt(folder, (path) => statSync(path).dev)
  const ours = device(`/proc/self/fd/${own.fd}`)
  return typeof ours === 'number' ? device('/sys/class/net') !== ours : undefined
}

function attempt<T>(at: string | Unreadable, act: (path: string) => T): T | Unreadable {
  if (typeof at !== 'string') return at
  try {
    return act(at)
  } catch (error) {
    return { errno: errnoOf(error) }
  }
}

function errnoOf(error: unknown): number {
  const { code, errno } = error as NodeJS.ErrnoException
  return (constants.errno as Readonly<Record<string, number>>)[code ?? ''] ?? (errno === undefined ? EIO : Math.abs(errno))
}

function writeFailed(path: string, text: string, errno: number): CaptureError {
  const denied = errno === EACCES || errno === EPERM
  const call = `write("${text.trim()}")`
  return new CaptureError(denied ? 'PERMISSION' : 'FILE_FAILED', `${path}: ${call}: ${errnoName(errno)} (${errnoText(errno)})`, {
    syscall: call,
    errno,
    errnoName: errnoName(errno),
    hint: denied && process.geteuid?.() !== 0 ? 'run as root' : undefined,
  })
}
