/** Journals below /run, which a reboot empties, as it does the settings. */
import { closeSync, constants, fsyncSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CaptureError } from '../../errors.js'
import { errnoName } from '../../kernel/errno.js'
import type { JournalStore, NetworkNamespace, TunedInterface, Whereabouts } from './access.js'
import { isSameNamespace, type KeptJournal, readable, readJournal } from './journal.js'
import type { Setting } from './setting.js'
import { movedHere, ofPlace } from './whose-journal.js'

export const JOURNAL_DIRECTORY = '/run/ringtap'

export interface FoundStore {
  store: JournalStore
  /** The journal is of another interface, which had this name in this namespace. */
  isOfNameOnly: boolean
  /** Journals that may be of this very interface, from another namespace, or of one that is like it: that cannot be told. */
  doubtful: KeptJournal[]
}

/** What tells where all interfaces are; asked only where that matters. */
export type AskWhereabouts = () => Whereabouts

/**
 * The journal of an interface: named by namespace and index, so that it is found under another name, too. Where there is none of that index, it may
 * be from another namespace, where the interface was. Or one that has the interface's name is answered: it is of an interface that is gone, and the
 * reader has to be told. A damaged one is in the way of its own interface alone.
 */
export function findStore(of: TunedInterface, directory = JOURNAL_DIRECTORY, whereabouts?: AskWhereabouts): FoundStore {
  const found = (path: string, more: Partial<FoundStore> = {}, isMoved = false): FoundStore => {
    return { store: storeAt(directory, path, of.bootId, isMoved), isOfNameOnly: false, doubtful: [], ...more }
  }
  const own = ownPath(of, directory)
  const path = [own, inodePath(of, directory)].find((it) => isTaken(directory, it, of))
  if (path !== undefined) return found(path)
  const kept = keptJournals(of, directory)
  const here = ofPlace(kept, of)
  if (here !== undefined) return found(here.store.path)
  // NB: only with whereabouts: that it is elsewhere no more has to be seen.
  const { moved, doubtful } = whereabouts === undefined ? { moved: undefined, doubtful: [] } : movedHere(kept, of, whereabouts)
  if (moved !== undefined) return found(moved.store.path, {}, true)
  const named = kept.find(({ journal }) => isSameNamespace(journal.interface, of) && journal.interface.name === of.name)
  return named === undefined ? found(own, { doubtful }) : found(named.store.path, { isOfNameOnly: true, doubtful })
}

function ownPath({ netnsInode, netnsCookie, index }: TunedInterface, directory: string): string {
  return join(directory, `tune-${netnsInode}${netnsCookie === undefined ? '' : `.${netnsCookie}`}-${index}.json`)
}

/** Before Linux 5.14, and of earlier versions. */
function inodePath({ netnsInode, index }: TunedInterface, directory: string): string {
  return join(directory, `tune-${netnsInode}-${index}.json`)
}

/** Also by what is damaged. */
function isTaken(directory: string, path: string, of: TunedInterface): boolean {
  const store = storeAt(directory, path, of.bootId)
  if (store.read() === undefined) return false
  const [kept] = readable([store])
  return kept === undefined || isSameNamespace(kept.journal.interface, of)
}

/** All that can be read, of this boot. */
export function keptJournals({ bootId }: NetworkNamespace, directory = JOURNAL_DIRECTORY): KeptJournal[] {
  return readable(journalPaths(directory).map((path) => storeAt(directory, path, bootId)))
}

/** What one of another boot tells of has gone, the machine's with it: as good as none. */
function isOfThisBoot(text: string, path: string, bootId: string | undefined): boolean {
  if (bootId === undefined) return true
  const [kept] = readable([{ path, read: () => text }])
  const then = kept?.journal.interface.bootId
  return then === undefined || then === bootId
}

function storeAt(directory: string, path: string, bootId?: string, isMoved = false): JournalStore {
  return {
    path,
    isMoved,
    others: () => journalPaths(directory).flatMap((other) => (other === path ? [] : [storeAt(directory, other, bootId)])),
    read() {
      const text = readText(path)
      return text === undefined || !isOfThisBoot(text, path, bootId) ? undefined : text
    },
    write: (text) => writeDurably(directory, path, text),
    remove() {
      inWords(path, 'unlink', () => rmSync(path, { force: true }))
      syncDirectory(directory)
    },
  }
}

export interface FoundJournal {
  path: string
  /** When tuning began; undefined where the journal may not be read. */
  since: string | undefined
  /** Why it is of no use: damaged, of another interface, or readable by root alone. */
  problem: string | undefined
}

/** What is to be said of an interface's journal without touching anything, and the settings in it; undefined without one. */
export function findJournal(
  ask: TunedInterface | (() => TunedInterface),
  directory = JOURNAL_DIRECTORY,
  whereabouts?: AskWhereabouts,
): (FoundJournal & { before: Setting[] }) | undefined {
  let path = directory
  try {
    const of = typeof ask === 'function' ? ask() : ask
    path = ownPath(of, directory)
    const { store, doubtful } = findStore(of, directory, whereabouts)
    path = store.path
    const journal = readJournal(store, of)
    if (journal !== undefined) return { path, since: journal.since, problem: undefined, before: journal.before }
    const [other] = doubtful
    return other && { path: other.store.path, since: undefined, problem: doubtText(of.name, other), before: [] }
  } catch (error) {
    return { path, since: undefined, problem: (error as Error).message, before: [] }
  }
}

export function doubtText(name: string, { store, journal: { interface: then } }: KeptJournal): string {
  return `${name}: ${store.path} is of ${then.name} with the same MAC address, ${then.mac ?? then.permanentMac}, in another network namespace (net:[${then.netnsInode}]): whether it is this one cannot be told`
}

/** None where there is no such directory. */
function journalPaths(directory: string): string[] {
  try {
    const files = readdirSync(directory).filter((file) => file.startsWith('tune-') && file.endsWith('.json'))
    return files.map((file) => join(directory, file))
  } catch {
    return []
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw failed(path, 'open', error)
  }
}

/** A descriptor of it, undefined where it is not. @throws CaptureError PERMISSION, FILE_FAILED */
export function openJournalDirectory(directory = JOURNAL_DIRECTORY): number | undefined {
  try {
    return openDirectory(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw failed(directory, 'open', error)
  }
}

/** The same, and it is made where it is not. */
export function makeJournalDirectory(directory = JOURNAL_DIRECTORY): number {
  makeDirectory(directory)
  return inWords(directory, 'open', () => openDirectory(directory))
}

function openDirectory(directory: string): number {
  return openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
}

function makeDirectory(directory: string): void {
  inWords(directory, 'mkdir', () => mkdirSync(directory, { recursive: true, mode: 0o700 }))
}

function writeDurably(directory: string, path: string, text: string): void {
  makeDirectory(directory)
  assertOwn(directory)
  const temporary = `${path}.new`
  inWords(temporary, 'write', () => {
    // What a killed apply left is nobody's.
    rmSync(temporary, { force: true })
    const fd = openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)
    try {
      // NB: writes on after a short write, which writeSync does not.
      writeFileSync(fd, text)
      fsyncSync(fd)
      renameSync(temporary, path)
    } catch (error) {
      rmSync(temporary, { force: true })
      throw error
    } finally {
      closeSync(fd)
    }
  })
  syncDirectory(directory)
}

/** A revert does as root what a journal says: nobody else may have put it there. */
function assertOwn(directory: string): void {
  const { uid, mode } = lstatSync(directory)
  if (uid === process.getuid?.() && (mode & 0o022) === 0) return
  throw new CaptureError('TUNING_FAILED', `${directory} belongs to user ${uid} with mode ${(mode & 0o7777).toString(8)}: others could write journals there`, {
    hint: `chown root ${directory} && chmod 700 ${directory}`,
  })
}

/** The name is on the disk only when the directory is. */
function syncDirectory(directory: string): void {
  inWords(directory, 'fsync', () => {
    const fd = openDirectory(directory)
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  })
}

function inWords<T>(path: string, call: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw failed(path, call, error)
  }
}

function failed(path: string, syscall: string, cause: unknown): CaptureError {
  const errno = Math.abs((cause as NodeJS.ErrnoException).errno ?? 0)
  const denied = ['EACCES', 'EPERM'].includes((cause as NodeJS.ErrnoException).code ?? '')
  return new CaptureError(denied ? 'PERMISSION' : 'FILE_FAILED', `journal of tuning: ${(cause as Error).message}`, {
    syscall,
    errno,
    errnoName: errnoName(errno),
    cause,
    hint: denied ? 'tuning changes the machine: run as root' : `${path} keeps what a revert needs, and nothing is changed without it`,
  })
}
