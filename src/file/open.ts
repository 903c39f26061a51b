/**
 * Opens a capture file: from a path, standard input or a stream; plain, gzip or zstd; pcap or pcapng, told by what it begins with. Memory is
 * bounded whatever the file says and however long it is. What few files need (filters, decompression, pipes) is loaded when it is: it would double
 * the time that a program needs to start.
 */
import { close, constants, fstat, open, stat } from 'node:fs'
import { endianness } from 'node:os'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Matcher } from '../bpf/matcher.js'
import { CaptureError } from '../errors.js'
import { LINK_TYPES, linkTypeNumbered } from '../filter/link-type.js'
import type { NameTables } from '../filter/names.js'
import { LINKTYPE, packetLinkType } from '../packet/link-type.js'
import type { CaptureFileInterface, CaptureFileSection, Decoder, FileBlock, FileTime, Format, MatcherFor, NameRecord, PacketCursor } from './decode/cursor.js'
import { type Compression, createDecoder, detectCompression, MAGIC_BYTES } from './decode/detect.js'
import { ByteWindow } from './decode/window.js'
import type { Decompressed } from './decompress.js'
import { type ByteInput, FileInput, fileFailed, StreamInput } from './input.js'

/** A path, `-` for standard input, a file: URL, a Readable, or whatever else yields the bytes. */
export type CaptureFileInput = string | URL | AsyncIterable<Uint8Array>

export interface CaptureFileOptions {
  /** Only packets that match this expression; compiled for the link type of each interface. */
  filter?: string | undefined
  /** Of the network that `ip broadcast` in the filter means, as a 32-bit number. */
  netmask?: number | undefined
  /** Only packets of this time or later. One without a time stamp is of no time. */
  from?: FileTime | undefined
  /** Only packets before this time. */
  until?: FileTime | undefined
  /**
   * Goes on behind damage where the format allows, and counts what it passes over in `skippedBytes`. Default false: the packets before the
   * damage, then an error.
   */
  tolerant?: boolean | undefined
  /**
   * Reads what the page cache has of a file in the calling thread, which saves a third of the time; others wait meanwhile, for 10 ms at most.
   * For programs that do nothing else. Default false: the thread pool reads ahead.
   */
  blocking?: boolean | undefined
  /** Ends reading normally. */
  signal?: AbortSignal | undefined
  /** Called for each block of pcapng that is no packet, as it is met. What it throws ends reading. */
  onBlock?: ((block: FileBlock) => void) | undefined
}

/** A packet of one's own. */
export interface FilePacket {
  bytes: Uint8Array<ArrayBuffer>
  /** Bytes that the wire had. */
  wireLength: number
  /** Time stamp: seconds since 1970 and nanoseconds. */
  seconds: number
  nanoseconds: number
  /** False for a packet without a time: seconds and nanoseconds are 0. */
  hasTimestamp: boolean
  /** Place in the file's `interfaces`. */
  interfaceId: number
  /** Number as capture files have it; 1 is Ethernet. */
  linkType: number
  /** epb_flags, 0 without. */
  flags: number
  /** Packets lost before this one, as the file says; 0 without. */
  dropCount: number
  /** The packet's first comment. */
  comment: string | undefined
}

/** An open capture file. It is read once, from its beginning to its end: whoever reads on, goes on where the one before stopped. */
export interface CaptureFile extends AsyncDisposable, AsyncIterable<FilePacket> {
  /** The path as given, `stdin` or `stream`. */
  readonly name: string
  /** Of a regular file that was opened by its path; undefined for anything else. */
  readonly path: string | undefined
  /** Of a regular file; undefined for what has none, such as a pipe. */
  readonly sizeBytes: number | undefined
  readonly format: Format
  readonly compression: Compression
  /** As far as the file has been read; those that stand before the first packet are there from the beginning as a rule. */
  readonly interfaces: readonly CaptureFileInterface[]
  readonly sections: readonly CaptureFileSection[]
  /** Of name resolution blocks. */
  readonly names: readonly NameRecord[]
  /** Bytes passed over because of damage, with `tolerant` only; and those that stand behind the end of what gzip and zstd have compressed. */
  readonly skippedBytes: number
  /**
   * The fast path: yields the file's one cursor, each time over what has been read meanwhile. Walk it with `while (batch.next())`; no
   * promise and no object is made for a packet.
   * @throws CaptureError INVALID_FILE after the last packet before damage, FILE_FAILED when reading fails.
   */
  batches(): AsyncIterableIterator<PacketCursor>
  /** Packets as copies, one after another. Throws as `batches` does. */
  [Symbol.asyncIterator](): AsyncIterator<FilePacket, void, undefined>
  /** Idempotent. A file that was read to its end is closed already. */
  close(): Promise<void>
}

/** Looks up the names of a filter expression; it may ask the system, which is not for this folder. */
export type ResolveNames = (filter: string) => Promise<NameTables>

const KNOWN: Readonly<Record<keyof CaptureFileOptions, true>> = {
  filter: true,
  netmask: true,
  from: true,
  until: true,
  tolerant: true,
  blocking: true,
  signal: true,
  onBlock: true,
}

export async function openFile(input: CaptureFileInput, options: CaptureFileOptions, resolveNames: ResolveNames): Promise<CaptureFile> {
  checkOptions(options)
  const { filter, netmask, blocking = false, signal } = options
  signal?.throwIfAborted()
  const matcherFor = filter === undefined ? undefined : await matchers(filter, netmask, await resolveNames(filter))
  const opened = await openInput(input, blocking, signal)
  const file = new OpenFile(opened, options, matcherFor)
  try {
    await file.begin()
    signal?.throwIfAborted()
  } catch (error) {
    await file.close()
    throw error
  }
  return file
}

function checkOptions(options: CaptureFileOptions): void {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(KNOWN, name)) throw new CaptureError('INVALID_OPTION', `Unknown option ${name}`, { hint: `options: ${Object.keys(KNOWN).join(', ')}` })
  }
  const expect = (name: keyof CaptureFileOptions, expected: string, isRight: boolean) => {
    const value = options[name]
    if (value !== undefined && !isRight)
      throw new CaptureError('INVALID_OPTION', `Expected the option ${name} to be ${expected}, got ${String(value)} (${typeof value})`)
  }
  expect('filter', 'a string', typeof options.filter === 'string')
  expect('netmask', 'a number', typeof options.netmask === 'number')
  for (const name of ['from', 'until'] as const)
    expect(name, 'a time, { seconds, nanoseconds }', Number.isFinite(options[name]?.seconds) && Number.isFinite(options[name]?.nanoseconds))
  for (const name of ['tolerant', 'blocking'] as const) expect(name, 'a boolean', typeof options[name] === 'boolean')
  expect('onBlock', 'a function', typeof options.onBlock === 'function')
}

/** One program for each link type and byte order that the file has. */
async function matchers(filter: string, netmask: number | undefined, names: NameTables): Promise<MatcherFor> {
  const [{ compileFilter }, { compileMatcher }] = await Promise.all([import('../filter/compile.js'), import('../bpf/matcher.js')])
  const made = new Map<string, Matcher>()
  const isLittleEndian = endianness() === 'LE'
  return ({ id, linkType: number, linkTypeName }, littleEndian) => {
    const name = packetLinkType(number)
    const linkType = name === undefined ? number : LINKTYPE[name]
    const key = `${linkType} ${littleEndian}`
    const known = made.get(key)
    if (known !== undefined) return known
    if (linkTypeNumbered(linkType) === undefined) {
      throw new CaptureError('INVALID_FILTER', `interface ${id} has link type ${linkTypeName} (${linkType}), and no filter is made for that`, {
        hint: `link types with filters: ${Object.keys(LINK_TYPES).join(', ')}`,
      })
    }
    const savefile = littleEndian === isLittleEndian ? 'same order' : 'swapped'
    const matcher = compileMatcher(compileFilter(filter, { linkType, names, netmask, savefile }).instructions)
    made.set(key, matcher)
    return matcher
  }
}

/** A matcher that looks at the time first, which the cursor knows and the bytes do not tell. */
function withinTimes(cursor: () => PacketCursor, from: FileTime | undefined, until: FileTime | undefined, matches: Matcher | undefined): Matcher {
  const first = from ?? { seconds: Number.NEGATIVE_INFINITY, nanoseconds: 0 }
  const end = until ?? { seconds: Number.POSITIVE_INFINITY, nanoseconds: 0 }
  return (bytes, offset, capturedLength, wireLength) => {
    const packet = cursor()
    if (!packet.hasTimestamp) return 0
    const seconds = packet.seconds
    if (seconds < first.seconds || (seconds === first.seconds && packet.nanoseconds < first.nanoseconds)) return 0
    if (seconds > end.seconds || (seconds === end.seconds && packet.nanoseconds >= end.nanoseconds)) return 0
    return matches === undefined ? 1 : matches(bytes, offset, capturedLength, wireLength)
  }
}

/** Something to read, not yet looked at. */
interface OpenInput {
  name: string
  path: string | undefined
  sizeBytes: number | undefined
  /** Whether it never has to be waited for. */
  isFile: boolean
  input: ByteInput
}

async function openInput(input: CaptureFileInput, blocking: boolean, signal: AbortSignal | undefined): Promise<OpenInput> {
  if (input === '-') return openStandardInput(blocking, signal)
  if (typeof input === 'string') return openPath(input, input, blocking, signal)
  if (input instanceof URL) {
    if (input.protocol !== 'file:') throw new CaptureError('INVALID_OPTION', `${input.href}: expected a file: URL, got ${input.protocol}`)
    const path = fileURLToPath(input)
    return openPath(path, path, blocking, signal)
  }
  if (typeof input?.[Symbol.asyncIterator] !== 'function') {
    throw new CaptureError('INVALID_OPTION', `Expected a path, '-', a file: URL or a stream of bytes, got ${input === null ? 'null' : typeof input}`)
  }
  return { name: 'stream', path: undefined, sizeBytes: undefined, isFile: false, input: new StreamInput('stream', input, signal, () => destroy(input)) }
}

/** A Readable that waits for its next piece would not hear its iterator's return(). */
function destroy(input: AsyncIterable<Uint8Array> & { destroy?: () => void }): void {
  if (typeof input.destroy === 'function') input.destroy()
}

const openDescriptor = promisify(open)
const statPath = promisify(stat)
const statDescriptor = promisify(fstat)
const closeDescriptor = promisify(close)

async function openPath(name: string, path: string, blocking: boolean, signal: AbortSignal | undefined): Promise<OpenInput> {
  let fd: number
  try {
    fd = await openDescriptor(path, await flagsFor(path))
  } catch (error) {
    throw fileFailed(name, 'open', error)
  }
  const stat = await statDescriptor(fd)
  if (stat.isFile()) return { name, path, sizeBytes: stat.size, isFile: true, input: new FileInput(name, fd, { position: 0, isOwn: true, blocking }) }
  if (stat.isDirectory()) {
    await closeDescriptor(fd)
    throw new CaptureError('FILE_FAILED', `${name}: it is a directory`)
  }
  if (!stat.isFIFO())
    return { name, path: undefined, sizeBytes: undefined, isFile: false, input: new FileInput(name, fd, { position: null, isOwn: true, blocking: false }) }
  // A read of the thread pool could not be called off while the pipe is silent; a socket can be destroyed, and takes the descriptor with it.
  const { Socket } = await import('node:net')
  const stream = new Socket({ fd, readable: true, writable: false })
  return { name, path: undefined, sizeBytes: undefined, isFile: false, input: new StreamInput(name, stream, signal, () => stream.destroy()) }
}

/**
 * To open a FIFO waits for somebody who writes to it, and nothing could call that off. On Linux one can be opened at once, and says that it is
 * over no sooner than somebody has written and gone (pipe_poll() of fs/pipe.c). A terminal must wait in read(2): only FIFOs are opened so.
 */
async function flagsFor(path: string): Promise<number> {
  const isFifo = process.platform === 'linux' && (await statPath(path)).isFIFO()
  return isFifo ? constants.O_RDONLY | constants.O_NONBLOCK : constants.O_RDONLY
}

const STDIN = 0

async function openStandardInput(blocking: boolean, signal: AbortSignal | undefined): Promise<OpenInput> {
  const name = 'stdin'
  let isFile = false
  try {
    isFile = (await statDescriptor(STDIN)).isFile()
  } catch (error) {
    throw fileFailed(name, 'fstat', error)
  }
  if (isFile) return { name, path: undefined, sizeBytes: undefined, isFile, input: new FileInput(name, STDIN, { position: null, isOwn: false, blocking }) }
  const { stdin } = process
  return { name, path: undefined, sizeBytes: undefined, isFile: false, input: new StreamInput(name, stdin, signal, () => stdin.destroy()) }
}

/** Of what stands before the first packet. */
const READ_AHEAD_BYTES = 2 ** 20

const CLOSED: ByteInput = { fill: async () => false, close: async () => {} }

class OpenFile implements CaptureFile {
  readonly name: string
  readonly path: string | undefined
  readonly sizeBytes: number | undefined
  compression: Compression = 'none'
  readonly #window = new ByteWindow()
  readonly #isFile: boolean
  readonly #options: CaptureFileOptions
  readonly #matcherFor: MatcherFor | undefined
  #input: ByteInput
  #decompressed: Pick<Decompressed, 'trailingBytes'> | undefined
  #decoder!: Decoder
  /** What reading has come upon before anybody asked for packets. */
  #failed: { thrown: unknown } | undefined
  #isReading = false
  #isClosed = false

  constructor({ name, path, sizeBytes, isFile, input }: OpenInput, options: CaptureFileOptions, matcherFor: MatcherFor | undefined) {
    this.name = name
    this.path = path
    this.sizeBytes = sizeBytes
    this.#isFile = isFile
    this.#input = input
    this.#options = options
    this.#matcherFor = matcherFor
  }

  get format(): Format {
    return this.#decoder.format
  }
  get interfaces(): readonly CaptureFileInterface[] {
    return this.#decoder.interfaces
  }
  get sections(): readonly CaptureFileSection[] {
    return this.#decoder.sections
  }
  get names(): readonly NameRecord[] {
    return this.#decoder.names
  }
  get skippedBytes(): number {
    return this.#decoder.skippedBytes + (this.#decompressed?.trailingBytes ?? 0)
  }

  /** Reads as much as tells what it is, and what it says before its first packet as far as that has come along. */
  async begin(): Promise<void> {
    const window = this.#window
    await this.#fillUntil(() => window.end - window.start >= MAGIC_BYTES)
    this.compression = detectCompression(window.bytes.subarray(window.start, window.end))
    if (this.compression !== 'none') await this.#decompress(this.compression)
    const { tolerant = false, onBlock, from, until } = this.#options
    const filtered = this.#matcherFor
    const matcherFor: MatcherFor | undefined =
      from === undefined && until === undefined
        ? filtered
        : (described, littleEndian) => withinTimes(() => this.#decoder, from, until, filtered?.(described, littleEndian))
    let made: Decoder | string | undefined
    await this.#fillUntil(() => {
      made = createDecoder(window, { tolerant, matcherFor, onBlock })
      return made !== undefined
    })
    if (made === undefined) made = createDecoder(window, { tolerant, matcherFor, onBlock })
    if (made === undefined || typeof made === 'string') {
      throw new CaptureError('INVALID_FILE', `${this.name}: no capture file: ${made ?? 'nothing could be read'}`, {
        hint: 'pcap and pcapng are read, plain or compressed by gzip or zstd',
      })
    }
    this.#decoder = made
    const isComplete = made.readAhead()
    this.#throwFailure()
    if (!isComplete && this.#isFile) await this.#readAhead(made)
  }

  /** Interfaces may stand behind the first piece: that of a compressed file may be the section header alone. */
  async #readAhead(decoder: Decoder): Promise<void> {
    const window = this.#window
    try {
      while (window.base + window.end < READ_AHEAD_BYTES && (await this.#input.fill(window)) && !decoder.readAhead());
    } catch (thrown) {
      // Damage is told behind what stands before it.
      this.#failed = { thrown }
    }
    if (decoder.failure !== undefined) throw decoder.failure.thrown
  }

  /** Until it is, or nothing more comes. */
  async #fillUntil(isEnough: () => boolean): Promise<void> {
    while (!isEnough() && (await this.#input.fill(this.#window)));
    this.#options.signal?.throwIfAborted()
  }

  /** What has been read becomes the first piece of what is decompressed into the same window. */
  async #decompress(compression: Exclude<Compression, 'none'>): Promise<void> {
    const { decompress } = await import('./decompress.js')
    const window = this.#window
    const compressed = this.#input
    const pieces = piecesOf(compressed, window.bytes.slice(window.start, window.end), window.ended)
    const decompressed = decompress(this.name, compression, pieces)
    this.#decompressed = decompressed
    this.#input = new StreamInput(this.name, decompressed, this.#options.signal, () => void compressed.close())
    window.start = 0
    window.end = 0
    window.base = 0
    window.ended = false
  }

  async *batches(): AsyncGenerator<PacketCursor, void, undefined> {
    if (this.#isReading) throw new CaptureError('INVALID_OPTION', `${this.name} is being read already`)
    this.#isReading = true
    const decoder = this.#decoder
    const window = this.#window
    const { signal } = this.#options
    let error: unknown
    try {
      while (!this.#isClosed) {
        decoder.isDrained = false
        yield decoder
        // Whoever leaves a batch early finds the rest of it in the next one.
        if (!decoder.isDrained) continue
        this.#throwFailure()
        if (this.#failed !== undefined) throw this.#failed.thrown
        if (window.ended || signal?.aborted === true) break
        // What stands before an error that comes while the next piece is read has been delivered.
        await this.#input.fill(window)
      }
    } catch (thrown) {
      error = thrown
    } finally {
      this.#isReading = false
    }
    // A stream that is closed while it is read may say so by an error.
    const isWanted = error !== undefined && !this.#isClosed
    await this.close()
    if (isWanted) throw error
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<FilePacket, void, undefined> {
    for await (const batch of this.batches()) while (batch.next()) yield packetOf(batch)
  }

  #throwFailure(): void {
    const { damage, failure } = this.#decoder
    if (failure !== undefined) throw failure.thrown
    if (damage === undefined) return
    const place = this.compression === 'none' ? `at byte ${damage.offset}` : `at byte ${damage.offset} of what was decompressed`
    throw new CaptureError('INVALID_FILE', `${this.name}: ${place}: ${damage.reason}`, {
      hint: 'packets before the damage have been delivered; with tolerant set reading goes on behind it where the format allows',
    })
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#input.close()
    // Many files may be open, one read after the other: what has been read keeps no memory. A packet that somebody stands on stays.
    this.#input = CLOSED
    this.#decompressed = { trailingBytes: this.#decompressed?.trailingBytes ?? 0 }
    if (this.#decoder?.isDrained === true) this.#window.release()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

async function* piecesOf(input: ByteInput, first: Uint8Array, ended: boolean): AsyncGenerator<Uint8Array, void, undefined> {
  yield first
  if (ended) return
  const window = new ByteWindow()
  while (await input.fill(window)) {
    yield window.bytes.slice(window.start, window.end)
    window.start = window.end
  }
}

function packetOf(cursor: PacketCursor): FilePacket {
  return {
    bytes: cursor.copy(),
    wireLength: cursor.wireLength,
    seconds: cursor.seconds,
    nanoseconds: cursor.nanoseconds,
    hasTimestamp: cursor.hasTimestamp,
    interfaceId: cursor.interfaceId,
    linkType: cursor.linkType,
    flags: cursor.flags,
    dropCount: cursor.dropCount,
    comment: cursor.comment,
  }
}
