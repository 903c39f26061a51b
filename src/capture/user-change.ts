/**
 * Becoming another user, as `tcpdump -Z`: what needs root is opened first, then every thread of the process gives it up, for good. Node.js
 * leaves that to the C library, which has each thread make the call. Files are opened before, but with the user's effective ids: they belong
 * to it, and what it may not write is refused while there is somebody to tell.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { CaptureError } from '../errors.js'
import { becomeUser, ids } from '../kernel/user.js'
import { invalid } from './plan.js'

export class UserChange {
  readonly name: string
  readonly uid: number
  readonly gid: number

  private constructor(name: string, uid: number, gid: number) {
    this.name = name
    this.uid = uid
    this.gid = gid
  }

  /**
   * Finds the user; undefined when there is nothing to change.
   * @throws CaptureError INVALID_OPTION when there is no such user, PERMISSION when only root could become it.
   */
  static find(name: string): UserChange | undefined {
    if (ids.geteuid() !== 0) {
      if (userInfo().username === name) return undefined
      throw new CaptureError('PERMISSION', `user ${name}: only root can become another user`, { hint: 'run as root, or without -Z' })
    }
    const { uid, gid } = lookUp(name)
    return uid === 0 ? undefined : new UserChange(name, uid, gid)
  }

  /** Runs `inside` with the effective user and groups of this user, all threads of the process with it. */
  async during<T>(inside: () => Promise<T>): Promise<T> {
    const groups = ids.getgroups()
    const group = ids.getegid()
    ids.initgroups(this.name, this.gid)
    ids.setegid(this.gid)
    ids.seteuid(this.uid)
    try {
      return await inside()
    } finally {
      ids.seteuid(0)
      ids.setegid(group)
      ids.setgroups(groups)
    }
  }

  /**
   * As `during`, for files: what it may not write is told with its name.
   * @throws CaptureError
   */
  async opening<T>(inside: () => Promise<T>): Promise<T> {
    try {
      return await this.during(inside)
    } catch (error) {
      if (!(error instanceof CaptureError) || error.code !== 'FILE_FAILED') throw error
      const { code, message, syscall, errno, errnoName } = error
      const { name } = this
      const hint = `files are made as user ${name}, who must be able to write to the folder: chown ${name}, or a folder that is ${name}'s`
      throw new CaptureError(code, `${message}, as user ${name}`, { syscall, errno, errnoName, hint })
    }
  }

  /**
   * Every thread becomes this user; there is no way back.
   * @throws CaptureError PERMISSION when a thread has not.
   */
  become(): void {
    becomeUser(this.name, this.gid)
    const own = Array(4).fill(this.uid).join('\t')
    const thread = readdirSync('/proc/self/task').find((task) => (idsOf(task) ?? own) !== own)
    if (thread !== undefined) {
      throw new CaptureError('PERMISSION', `user ${this.name}: setuid(${this.uid}): thread ${thread} has ids ${idsOf(thread)?.replaceAll('\t', ' ')} still`)
    }
  }
}

/** By the C library, which knows of all places that users come from. */
function lookUp(name: string): { uid: number; gid: number } {
  try {
    ids.seteuid(name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_UNKNOWN_CREDENTIAL') throw invalid('user', 'the name of a user', name)
    throw new CaptureError('PERMISSION', `user ${name}: ${(error as Error).message}`, { cause: error })
  }
  try {
    return userInfo()
  } finally {
    ids.seteuid(0)
  }
}

/** Real, effective, saved and file system user of a thread; undefined of one that has ended. */
function idsOf(task: string): string | undefined {
  try {
    return /^Uid:\t(.*)$/m.exec(readFileSync(`/proc/self/task/${task}/status`, 'latin1'))?.[1]
  } catch {
    return undefined
  }
}
