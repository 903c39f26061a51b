/** Which process holds a socket, from /proc/PID/fd. Pure. */
import { EACCES, EPERM } from '../kernel/errno.js'
import { type HostFiles, isUnreadable, listNames, readLine } from './host-files.js'

export interface SocketHolder {
  pid: number
  /** /proc/PID/comm, at most 15 characters. */
  command: string
}

export interface SocketHolders {
  /** By inode: the first process that has the socket open. */
  found: Map<number, SocketHolder>
  /** Descriptors of some process may not be looked at, so that it could be one of those. */
  isPartial: boolean
}

/** Looks for the processes that hold these sockets. */
export function socketHolders(files: HostFiles, inodes: readonly number[]): SocketHolders {
  const found = new Map<number, SocketHolder>()
  const wanted = new Set(inodes)
  let isPartial = false
  for (const pid of listNames(files, '/proc').filter((name) => /^\d+$/.test(name))) {
    if (found.size === wanted.size) break
    const folder = `/proc/${pid}/fd`
    const descriptors = files.list(folder)
    if (isUnreadable(descriptors)) {
      if (descriptors.errno === EACCES || descriptors.errno === EPERM) isPartial = true
      continue
    }
    for (const descriptor of descriptors) {
      const target = files.link(`${folder}/${descriptor}`)
      const inode = typeof target === 'string' ? Number(/^socket:\[(\d+)\]$/.exec(target)?.[1]) : Number.NaN
      if (wanted.has(inode) && !found.has(inode)) found.set(inode, { pid: Number(pid), command: readLine(files, `/proc/${pid}/comm`) ?? '?' })
    }
  }
  return { found, isPartial: isPartial && found.size < wanted.size }
}
