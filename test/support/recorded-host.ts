/** Recorded machines of test/fixtures/host/: the files in which they say what they are, and what their kernel answers about an interface. */
import { readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { DeviceAnswers } from '#src/host/device-answers.js'
import type { HostFacts, InterfaceFacts } from '#src/host/facts.js'
import { hostFacts, type ProcessFacts } from '#src/host/host-facts.js'
import type { Unreadable, WritableHostFiles } from '#src/host/host-files.js'
import { interfaceFacts } from '#src/host/interface-facts.js'

export const RECORDED_HOSTS = ['ena', 'i40e', 'ixgbe', 'mlx5', 'veth', 'virtio'] as const
export type RecordedHostName = (typeof RECORDED_HOSTS)[number]

/** The content of a file, its lines, where a symbolic link leads, or what keeps it from being read. Directories are those that paths go through. */
export type RecordedFile = string | readonly string[] | { link: string } | { errno: number } | { text: string; mode: number }

interface Recording {
  /** Where it comes from. */
  about: string
  process: ProcessFacts
  files: Record<string, RecordedFile>
  devices: Record<string, DeviceAnswers>
}

export interface RecordedHost {
  /** Paths may be changed, added and removed: what is read afterwards follows. */
  readonly tree: Map<string, RecordedFile>
  readonly files: WritableHostFiles
  readonly process: ProcessFacts
  /** By interface. */
  readonly devices: Record<string, DeviceAnswers>
  hostFacts(): HostFacts
  interfaceFacts(interfaceName: string): InterfaceFacts
}

/** A machine of its own for each caller. */
export function recordedHost(name: RecordedHostName): RecordedHost {
  const path = fileURLToPath(new URL(`../test/fixtures/host/${name}.json`, import.meta.resolve('#src/index.js')))
  const recording = JSON.parse(readFileSync(path, 'utf8')) as Recording
  const tree = new Map(Object.entries(recording.files))
  const files = recordedFiles(tree)
  return {
    tree,
    files,
    process: recording.process,
    devices: recording.devices,
    hostFacts: () => hostFacts(files, recording.process),
    interfaceFacts: (interfaceName) => interfaceFacts(recording.devices[interfaceName], files),
  }
}

const ENOENT = 2
const EISDIR = 21
const EINVAL = 22
const ELOOP = 40
const MAX_LINKS = 40

function textOf(file: RecordedFile | undefined): string | undefined {
  if (isLines(file)) return `${file.join('\n')}\n`
  if (typeof file === 'object' && 'text' in file) return file.text
  return typeof file === 'string' ? file : undefined
}

function isLink(file: RecordedFile | undefined): file is { link: string } {
  return typeof file === 'object' && 'link' in file
}

function isUnreadable(file: RecordedFile | undefined): file is Unreadable {
  return typeof file === 'object' && 'errno' in file
}

function isLines(file: RecordedFile | undefined): file is readonly string[] {
  return Array.isArray(file)
}

/** Files as a map has them; it may be changed while they are in use. */
export function recordedFiles(tree: Map<string, RecordedFile>): WritableHostFiles {
  const isFolder = (path: string) => [...tree.keys()].some((key) => key.startsWith(path === '/' ? '/' : `${path}/`))
  /** The path without links, but perhaps the last one; or what stands in the way. */
  const resolve = (path: string, followLast: boolean): string | Unreadable => {
    let at = '/'
    let rest = path.split('/').filter((part) => part !== '')
    for (let links = 0; rest.length > 0; ) {
      const [part = '', ...behind] = rest
      const next = posix.join(at, part)
      const file = tree.get(next)
      rest = behind
      if (isUnreadable(file)) return file
      if (isLink(file) && (followLast || rest.length > 0)) {
        if (++links > MAX_LINKS) return { errno: ELOOP }
        rest = [...file.link.split('/').filter((it) => it !== ''), ...rest]
        if (file.link.startsWith('/')) at = '/'
        continue
      }
      if (file === undefined && !isFolder(next)) return { errno: ENOENT }
      at = next
    }
    return at
  }
  return {
    read(path) {
      const at = resolve(path, true)
      if (typeof at !== 'string') return at
      const file = tree.get(at)
      return textOf(file) ?? { errno: EISDIR }
    },
    list(path) {
      const at = resolve(path, true)
      if (typeof at !== 'string') return at
      const prefix = at === '/' ? '/' : `${at}/`
      return [...new Set([...tree.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length).split('/')[0] as string))]
    },
    link(path) {
      const at = resolve(path, false)
      if (typeof at !== 'string') return at
      const file = tree.get(at)
      return isLink(file) ? file.link : { errno: EINVAL }
    },
    mode(path) {
      const at = resolve(path, true)
      if (typeof at !== 'string') return at
      const file = tree.get(at)
      return typeof file === 'object' && 'mode' in file ? file.mode : 0o644
    },
    write(path, text) {
      const at = resolve(path, true)
      if (typeof at !== 'string' || textOf(tree.get(at)) === undefined) throw new Error(`${path}: no file to write to`)
      tree.set(at, text.endsWith('\n') ? text : `${text}\n`)
    },
  }
}
