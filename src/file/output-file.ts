/**
 * The file behind the name that was given for writing.
 *
 * A regular file is written as `.NAME.PID.part` beside its final name, which it takes when it is complete, in one step (rename(2)); a
 * file that had the name is there until then, its permissions are taken over, and a symbolic link goes on pointing where it did.
 * Everything else (`-`, a FIFO, a device, what is below /dev and /proc, a file in a folder where none can be made) is opened and
 * written as it is. Nothing is fsync(2)ed: after a crash of the machine the file may be shorter, as with tcpdump.
 */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CaptureError } from '../errors.js'
import { O_APPEND, SEEK_CUR, SEEK_END } from '../kernel/abi/process.js'
import { callFailed, EACCES, EISDIR, ENOENT, ENXIO, EPERM, EROFS } from '../kernel/errno.js'
import type { Kernel } from '../kernel/system.js'
import type { Spares } from './capture-file.js'
import { fileFailed, fsFailed } from './file-failed.js'
import { moveToNumbered, type NumberedName, pathOfNumbered } from './numbered-name.js'

const STDOUT = 1

const { O_CREAT, O_EXCL, O_NONBLOCK, O_TRUNC, O_WRONLY } = constants

/** NAME_MAX is 255 bytes; the hidden name has room for its own part. */
const MAX_NAME_BYTES = 200

const LEAVE_ALONE = 'a file is written as .NAME.PID.part until it is complete: leave those of a process that runs alone'

const GONE = Symbol('removed')

/** How often a FIFO is asked whether somebody reads it. */
const FIFO_POLL_MS = 20

export class OutputFile {
  readonly fd: number
  /** As it was given. */
  readonly path: string
  /** Under what name it is being written, undefined when that is its own. */
  readonly partPath: string | undefined
  /** Whether it can be cut back and has a length. */
  readonly isRegular: boolean
  /** Where the first byte goes: 0, but for a stdout that somebody has written to before. */
  readonly position: number
  #open = true

  private constructor(path: string, fd: number, partPath: string | undefined, position = 0) {
    this.path = path
    this.fd = fd
    this.partPath = partPath
    this.isRegular = fstatSync(fd).isFile()
    this.position = position
  }

  /**
   * Opens whatever the path names. A FIFO is waited for until somebody reads it, or `signal` is aborted.
   * @throws CaptureError FILE_FAILED with the errno.
   */
  static async open(kernel: Kernel, path: string, signal?: AbortSignal, spares?: Spares): Promise<OutputFile> {
    if (path === '-') return OutputFile.#stdout(kernel, spares)
    const there = statusOf(path)
    if (there?.isFIFO() === true) return new OutputFile(path, await openFifo(path, signal), undefined)
    return OutputFile.openNow(path, there, () => {}, refusing(spares))
  }

  /**
   * Opens a path that nobody has to be waited for at. `announce` is told the hidden name before there is a file of that name; `checkInPlace`
   * throws for what must not be opened as it is, which empties it.
   * @throws CaptureError FILE_FAILED with the errno.
   */
  static openNow(
    path: string,
    there = statusOf(path),
    announce: (partPath: string) => void = () => {},
    checkInPlace: (path: string) => void = () => {},
  ): OutputFile {
    if (there?.isDirectory() === true) throw fileFailed(path, 'open', EISDIR)
    const target = targetOf(path)
    if ((there !== undefined && !there.isFile()) || /^\/(dev|proc)\//.test(resolve(path))) return new OutputFile(path, openAsIs(path, checkInPlace), undefined)
    if (there !== undefined) checkWritable(path)
    const [fd, partPath] = openPart(path, target, there !== undefined, announce, checkInPlace)
    try {
      if (there !== undefined && partPath !== undefined) takeOver(fd, there)
      return new OutputFile(path, fd, partPath)
    } catch (error) {
      closeSync(fd)
      throw fsFailed(path, 'fstat', error)
    }
  }

  static #stdout(kernel: Kernel, spares: Spares | undefined): OutputFile {
    const status = fstatSync(STDOUT)
    // Through a description of its own the pipe can be written without blocking, and nobody else's flags change.
    if (status.isFIFO()) {
      try {
        return new OutputFile('-', openSync(`/proc/self/fd/${STDOUT}`, O_WRONLY | O_NONBLOCK), undefined)
      } catch {
        // No /proc, or a pipe of another user: then as it is.
      }
    }
    if (!status.isFile()) return new OutputFile('-', STDOUT, undefined)
    if (spares?.(`/proc/self/fd/${STDOUT}`) === true) throw isSpared('stdout')
    const position = kernel.lseek(STDOUT, 0, appends(STDOUT) ? SEEK_END : SEEK_CUR)
    return new OutputFile('-', STDOUT, undefined, Math.max(0, position))
  }

  /** A regular file that is written under its own name: what it had been is lost, and what is written cannot be taken back. */
  get isInPlace(): boolean {
    return this.isRegular && this.partPath === undefined && this.path !== '-'
  }

  /** What it will be called where this is asked for: what is written in place has its name already. */
  nameAs(asked: string): string {
    return this.isInPlace ? this.path : asked
  }

  /** Whether a path is this very file. */
  isAt(path: string): boolean {
    const there = statusOf(path)
    const own = fstatSync(this.fd)
    return there?.dev === own.dev && there.ino === own.ino
  }

  /** What the guard opens when this process is dead; undefined for what it could not cut. */
  get guardedPath(): string | undefined {
    if (!this.isRegular) return undefined
    try {
      return realpathSync(this.partPath ?? (this.path === '-' ? `/proc/self/fd/${STDOUT}` : this.path))
    } catch {
      return undefined
    }
  }

  /**
   * Closes the file and gives it this name, by default the one that it was opened for; `contents` says what is in it if it is not there any
   * more. Idempotent.
   * @throws CaptureError FILE_FAILED when it cannot have the name: it is complete, under its hidden one.
   */
  finish(path = this.path, contents?: string): void {
    this.#finish(path, contents, (partPath) => renameSync(partPath, targetOf(path)))
  }

  /**
   * Closes the file and gives it the first of these names that nothing has; answers it.
   * @throws CaptureError as `finish`.
   */
  finishNumbered(name: NumberedName, contents?: string): string {
    let path = pathOfNumbered(name)
    this.#finish(path, contents, (partPath) => {
      path = moveToNumbered(partPath, name)
    })
    return path
  }

  #finish(path: string, contents = 'what was written', move: (partPath: string) => void): void {
    const whereabouts = this.#open && this.partPath !== undefined ? whereaboutsOf(this.fd) : undefined
    if (!this.#release()) return
    if (this.partPath === undefined) return
    try {
      move(this.partPath)
    } catch (error) {
      const call = `rename from ${this.partPath}`
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || whereabouts === undefined) throw fsFailed(path, call, error)
      const detail =
        whereabouts === GONE ? `somebody has removed it, with ${contents} in it` : `somebody has moved it: it is ${whereabouts}, with ${contents} in it`
      throw callFailed({ subject: path, call, errno: ENOENT, code: 'FILE_FAILED', detail, hint: LEAVE_ALONE })
    }
  }

  /**
   * Closes a file that is not what it was to be. What has the name stays: then it is called NAME.partial, or NAME.partial-2. Answers its name.
   * @throws CaptureError as `finish`.
   */
  finishPartial(path = this.path, contents?: string): string {
    const name = this.partPath === undefined ? path : partialNameOf(path)
    this.finish(name, contents)
    return name
  }

  /** Closes the file and removes what was written under the hidden name. Idempotent. */
  discard(): void {
    if (!this.#release() || this.partPath === undefined) return
    try {
      unlinkSync(this.partPath)
    } catch {
      // Somebody else has removed it.
    }
  }

  #release(): boolean {
    if (!this.#open) return false
    this.#open = false
    if (this.fd !== STDOUT) closeSync(this.fd)
    return true
  }
}

/** What a file that is not whole is called: by its name where nothing has that. */
export function partialNameOf(path: string): string {
  const target = targetOf(path)
  for (let attempt = 0; ; attempt++) {
    const tried = attempt === 0 ? target : attempt === 1 ? `${target}.partial` : `${target}.partial-${attempt}`
    if (lstatSync(tried, { throwIfNoEntry: false }) === undefined) return attempt === 0 ? path : tried
  }
}

/** Whether a file that is to have this name is being written, by whatever process; or was, by one that was killed. */
export function isBeingWritten(path: string): boolean {
  const target = targetOf(path)
  const begin = `.${shortened(basename(target))}.`
  try {
    return readdirSync(dirname(target)).some((name) => name.startsWith(begin) && /^\d+(-\d+)?\.part$/.test(name.slice(begin.length)))
  } catch {
    return false
  }
}

/** Throws for what is being read. */
export function refusing(spares: Spares | undefined): (path: string) => void {
  return (path) => {
    if (spares?.(path) === true) throw isSpared(path)
  }
}

function isSpared(path: string): CaptureError {
  return new CaptureError('INVALID_OPTION', `${path}: it is being read, and could only be written over in place`, { hint: 'write to another file' })
}

/** What has become of a file that is open: its path now, unless it or its folder was removed. Undefined where /proc does not say. */
function whereaboutsOf(fd: number): string | typeof GONE | undefined {
  if (fstatSync(fd).nlink === 0) return GONE
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return undefined
  }
}

function statusOf(path: string): Stats | undefined {
  try {
    return statSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw fsFailed(path, 'stat', error)
  }
}

/** The path behind symbolic links, which need not be there yet; of the last component alone, as rename(2) follows the others. */
export function targetOf(path: string): string {
  let target = path
  for (let depth = 0; depth < 40; depth++) {
    try {
      if (!lstatSync(target).isSymbolicLink()) return target
    } catch {
      return target
    }
    target = resolve(dirname(target), readlinkSync(target))
  }
  return target
}

async function openFifo(path: string, signal: AbortSignal | undefined): Promise<number> {
  for (;;) {
    signal?.throwIfAborted()
    try {
      return openSync(path, O_WRONLY | O_NONBLOCK)
    } catch (error) {
      // Nobody reads it yet.
      if ((error as NodeJS.ErrnoException).errno !== -ENXIO) throw fsFailed(path, 'open', error)
    }
    await sleep(FIFO_POLL_MS)
  }
}

function openAsIs(path: string, checkInPlace: (path: string) => void): number {
  checkInPlace(path)
  try {
    // NB: a FIFO that has come in place of what was there must not hold this thread up.
    return openSync(path, O_WRONLY | O_TRUNC | O_NONBLOCK)
  } catch (error) {
    throw fsFailed(path, 'open', error)
  }
}

/** rename(2) asks for no permission on the file that it replaces; whoever made it read-only meant it. */
function checkWritable(path: string): void {
  try {
    accessSync(path, constants.W_OK)
  } catch (error) {
    throw fsFailed(path, 'open', error)
  }
}

function openPart(
  path: string,
  target: string,
  exists: boolean,
  announce: (partPath: string) => void,
  checkInPlace: (path: string) => void,
): [fd: number, partPath: string | undefined] {
  for (let attempt = 1; ; attempt++) {
    const partPath = join(dirname(target), partName(basename(target), attempt))
    if (existsSync(partPath)) continue
    announce(partPath)
    try {
      return [openSync(partPath, O_WRONLY | O_CREAT | O_EXCL, 0o666), partPath]
    } catch (error) {
      const { errno } = error as NodeJS.ErrnoException
      if (exists && [-EACCES, -EPERM, -EROFS].includes(errno ?? 0)) return [openAsIs(path, checkInPlace), undefined]
      throw fsFailed(path, 'open', error)
    }
  }
}

function partName(name: string, attempt: number): string {
  return `.${shortened(name)}.${process.pid}${attempt === 1 ? '' : `-${attempt}`}.part`
}

function shortened(name: string): string {
  let kept = name
  while (Buffer.byteLength(kept) > MAX_NAME_BYTES) kept = [...kept].slice(0, -1).join('')
  return kept
}

/** Permissions and owner of the file that will be replaced, as far as we may. */
function takeOver(fd: number, { mode, uid, gid }: Stats): void {
  const own = fstatSync(fd)
  if (own.uid !== uid || own.gid !== gid) {
    try {
      fchownSync(fd, uid, gid)
    } catch {
      // Not ours to give away.
    }
  }
  fchmodSync(fd, mode & 0o777)
}

function appends(fd: number): boolean {
  try {
    const flags = /^flags:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1]
    return flags !== undefined && (Number.parseInt(flags, 8) & O_APPEND) !== 0
  } catch {
    return false
  }
}
