/**
 * `ringtap read`. Text is collected in one piece of memory and written out in large pieces; what has been read is printed before more is
 * waited for. Cost: bench/read-cli.ts.
 */
import { statSync } from 'node:fs'
import type { CaptureFile, ConvertOptions, MergedPackets, PartialFile } from '../index.js'
import { CaptureError, type CaptureFileOptions, captureFileInfo, mergeCaptureFiles, openCaptureFile } from '../reader.js'
import type { PacketText } from '../text.js'
import { describeFailure, EXIT, failureDocument, failureLines } from './exit-status.js'
import { plural } from './human.js'
import type { Io } from './io.js'
import { infoDocument, infoLines, openingLine, skippedLine, undecodedLine, writtenLine } from './read-lines.js'
import { missingFile, precisionOf, type ReadPlan, readPlan, textOptions } from './read-plan.js'
import { findCommand, type ValuesOf } from './table.js'

type Values = ValuesOf<'read'>

/** Text is written out when there is so much of it: more leaves the CPU's cache, less costs calls. */
const WRITE_BYTES = 128 * 1024

export async function runRead(values: Values, words: readonly string[], beforeDashes: number, io: Io): Promise<number> {
  const plan = readPlan(values, words, beforeDashes, isFile)
  try {
    return await perform(values, plan, io)
  } catch (error) {
    const missing = missingFile(words, isFile)
    throw missing === undefined ? error : await withMissing(error, missing)
  }
}

/** What was taken for a filter is a file that is not there. */
async function withMissing(error: unknown, word: string): Promise<unknown> {
  const { FilterError } = await import('../index.js')
  if (!(error instanceof FilterError)) return error
  const hint = `there is no file ${word}${error.hint === undefined ? '' : `; in a filter: ${error.hint}`}`
  return new FilterError(error.message, error.text, error, hint)
}

async function perform(values: Values, plan: ReadPlan, io: Io): Promise<number> {
  const reading = new Reading(values, plan, io)
  switch (plan.what) {
    case 'print':
      await reading.print()
      break
    case 'json':
      await reading.printJson()
      break
    case 'count':
      await reading.count()
      break
    case 'info':
      await reading.info()
      break
    case 'write':
      await reading.write(values.write as string)
  }
  return reading.status
}

function isFile(path: string): boolean {
  const status = statSync(path, { throwIfNoEntry: false })
  return status !== undefined && !status.isDirectory()
}

class Reading {
  status: number = EXIT.done
  readonly #values: Values
  readonly #plan: ReadPlan
  readonly #io: Io
  readonly #limit: number
  /** Of a link type; all are as good where no packets are printed. */
  #isDecoded: (linkType: number) => boolean = () => true
  readonly #undecoded = new Set<number>()

  constructor(values: Values, plan: ReadPlan, io: Io) {
    this.#values = values
    this.#plan = plan
    this.#io = io
    this.#limit = values.limit ?? Number.POSITIVE_INFINITY
  }

  async print(): Promise<void> {
    const io = this.#io
    // NB: loaded by those who need it, here and below: it takes as long as reading a quarter of a gigabyte.
    const { PacketText, packetLinkType } = await import('../text.js')
    this.#isDecoded = (linkType) => packetLinkType(linkType) !== undefined
    const text = new PacketText(textOptions(this.#values))
    const enough = this.#values.lineBuffered ? 1 : WRITE_BYTES
    let left = this.#limit
    for await (const batch of this.#packets()) {
      for (let isMore = true; isMore && left > 0 && !io.signal.aborted; ) {
        const { packets, ended } = printSome(batch, text, enough, left)
        left -= packets
        isMore = !ended
        const waiting = io.write(text.bytes, text.length)
        if (waiting !== undefined) await waiting
        text.clear()
      }
      if (left === 0 || io.signal.aborted) break
    }
  }

  async printJson(): Promise<void> {
    const io = this.#io
    const [{ packetLine }, { packetLinkType }] = await Promise.all([import('./read-json.js'), import('../text.js')])
    this.#isDecoded = (linkType) => packetLinkType(linkType) !== undefined
    const cutTo = this.#values.snapLength || undefined
    let packets = 0
    let lines: string[] = []
    const flush = async () => {
      if (lines.length === 0) return
      const bytes = Buffer.from(lines.join(''), 'utf8')
      lines = []
      await io.write(bytes, bytes.length)
    }
    try {
      for await (const batch of this.#packets()) {
        while (packets < this.#limit && batch.next()) {
          lines.push(packetLine(batch, packets + 1, this.#plan.files, cutTo))
          packets++
          if (lines.length >= (this.#values.lineBuffered ? 1 : 256)) await flush()
        }
        await flush()
        if (packets === this.#limit || io.signal.aborted) break
      }
    } finally {
      // What came before an error is no less true.
      await flush()
    }
  }

  async count(): Promise<void> {
    let packets = 0
    // In whatever order, they are as many.
    for await (const batch of this.#packets('files')) {
      packets += countUpTo(batch, this.#limit - packets)
      if (packets === this.#limit) break
    }
    this.#io.out(this.#values.json ? JSON.stringify({ type: 'count', packets }) : plural(packets, 'packet'))
  }

  async info(): Promise<void> {
    const { json, sha256 } = this.#values
    for (const [index, path] of this.#plan.files.entries()) {
      await using file = await openCaptureFile(path, this.#fileOptions())
      const info = await captureFileInfo(file, { sha256 })
      if (json) this.#io.out(JSON.stringify(infoDocument(info)))
      else for (const line of [...(index > 0 ? [''] : []), ...infoLines(info)]) this.#io.out(line)
      if (info.damage !== undefined) this.#tell(info.damage)
      this.#tellSkipped([file])
    }
  }

  async write(target: string): Promise<void> {
    const io = this.#io
    const { format, compression, compressionLevel, append, packetBuffered, command, snapLength, limit, json, quiet } = this.#values
    const { rotateSize: sizeBytes, rotateTime, files, keep: keepBytes } = this.#values
    const isSeries = (sizeBytes ?? rotateTime ?? files ?? keepBytes) !== undefined
    if (target === '-') io.reserveStdout()
    const opened: CaptureFile[] = []
    let partial: PartialFile | undefined
    const { convertCaptureFiles } = await import('../index.js')
    const options: ConvertOptions = {
      ...this.#fileOptions(),
      format,
      compression,
      compressionLevel,
      order: append ? 'files' : 'time',
      precision: precisionOf(this.#values),
      unbuffered: packetBuffered,
      command,
      snapLengthBytes: snapLength === 0 ? undefined : snapLength,
      count: limit,
      rotation: isSeries ? { sizeBytes, seconds: rotateTime === undefined ? undefined : rotateTime / 1000, files, keepBytes } : undefined,
      onOpen: (file) => {
        opened.push(file)
        this.#opened(file)
      },
      onDamage: (error) => this.#tell(error),
      onPartial: (told) => {
        partial = told
      },
      onEvent: (event) => {
        if (event.type === 'file-warning') io.err(`ringtap: ${event.message}`)
      },
    }
    try {
      const { reason, skippedBytes, ...counts } = await convertCaptureFiles(this.#plan.files, target, options)
      if (json)
        io.out(JSON.stringify({ type: 'summary', file: partial === undefined ? target : (partial.path ?? null), ...counts, isWhole: partial === undefined }))
      else if (!quiet || partial?.spared !== undefined) io.err(writtenLine(counts, partial))
      // Ended by a signal, say: whoever goes on after success would take the old file for the new one.
      if (partial?.spared !== undefined && this.status === EXIT.done) this.status = EXIT.failed
      this.#tellSkipped(opened)
    } catch (error) {
      // Nobody reads stdout any more.
      if (target === '-' && error instanceof CaptureError && error.errnoName === 'EPIPE') return
      // NB: the compiler does not see what was told meanwhile.
      const told = partial as PartialFile | undefined
      if (told?.path !== undefined || told?.spared !== undefined) io.err(writtenLine({ packets: told.packets }, told))
      throw error
    }
  }

  /** Opens the files and walks over all their packets. */
  async *#packets(order: 'time' | 'files' = this.#values.append ? 'files' : 'time'): AsyncGenerator<MergedPackets, void, undefined> {
    const files: CaptureFile[] = []
    try {
      for (const path of this.#plan.files) {
        const file = await openCaptureFile(path, this.#fileOptions())
        files.push(file)
        this.#opened(file)
      }
      this.#tellUndecoded(files)
      yield* mergeCaptureFiles(files, { order, onDamage: (error) => this.#tell(error) })
      // Those of which a pipe had not told yet.
      this.#tellUndecoded(files)
      this.#tellSkipped(files)
    } finally {
      await Promise.all(files.map((file) => file.close()))
    }
  }

  #fileOptions(): CaptureFileOptions {
    const { from, until, tolerant } = this.#values
    // There is no interface whose network `ip broadcast` could mean; tcpdump -r takes 0, too.
    return { filter: this.#plan.filter, netmask: 0, from, until, tolerant, blocking: true, signal: this.#io.signal }
  }

  #opened(file: CaptureFile): void {
    if (!this.#values.json) this.#io.err(openingLine(file))
  }

  /** Of damage; reading goes on in other files. */
  #tell(error: CaptureError): void {
    const failure = describeFailure(error, findCommand('read'))
    for (const line of failureLines(failure)) this.#io.err(line)
    if (this.#values.json) this.#io.out(JSON.stringify(failureDocument(failure)))
    this.status = failure.status
  }

  #tellUndecoded(files: readonly CaptureFile[]): void {
    for (const { name, interfaces } of files) {
      for (const described of interfaces) {
        if (this.#undecoded.has(described.linkType) || this.#isDecoded(described.linkType)) continue
        this.#undecoded.add(described.linkType)
        this.#io.err(undecodedLine(described, name))
      }
    }
  }

  #tellSkipped(files: readonly CaptureFile[]): void {
    for (const { name, skippedBytes } of files) if (skippedBytes > 0) this.#io.err(skippedLine(name, skippedBytes))
  }
}

/** Until there is enough text, as many packets as are wanted, or the batch is over. */
function printSome(batch: MergedPackets, text: PacketText, enough: number, limit: number): { packets: number; ended: boolean } {
  let packets = 0
  while (text.length < enough) {
    if (packets === limit || !batch.next()) return { packets, ended: true }
    text.append(batch.packet)
    packets++
  }
  return { packets, ended: false }
}

function countUpTo(batch: MergedPackets, limit: number): number {
  let packets = 0
  while (packets < limit && batch.next()) packets++
  return packets
}
