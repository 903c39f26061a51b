/** Capture files for writing: pcap and pcapng, compressed or not, one or a series, to a file, a pipe or a stream. */
import { CaptureError } from '../errors.js'
import type { CaptureFileWriter, CreateCaptureFileOptions, Spares, WritableTarget } from './capture-file.js'
import { compressedHeader, planFile } from './file-plan.js'
import { FileWriter } from './file-writer.js'
import { openSink } from './open-sink.js'

/**
 * Opens a capture file for writing: a path, `-` for stdout, or a stream.
 *
 * A regular file appears under its name when it is closed; until then it is a hidden `.NAME.PID.part` beside it, and what had the name
 * stays. FIFOs, devices and stdout are written as they are. Without compression a file or pipe is written synchronously.
 * @throws CaptureError INVALID_OPTION, UNSUPPORTED_PLATFORM (zstd), or FILE_FAILED with the errno: then nothing is left behind.
 */
export function createCaptureFile(target: string | WritableTarget, options: CreateCaptureFileOptions = {}): Promise<CaptureFileWriter> {
  return createWriter(target, options, undefined)
}

/** The same for who converts files, which `spares` tells. */
export async function createWriter(target: string | WritableTarget, options: CreateCaptureFileOptions, spares: Spares | undefined): Promise<CaptureFileWriter> {
  const plan = { ...planFile(typeof target === 'string' ? target : '', options), isConverted: spares !== undefined }
  if (typeof target !== 'string') {
    if (options.rotation !== undefined) throw new CaptureError('INVALID_OPTION', 'rotation needs a path, and this is a stream')
    return new FileWriter(plan, target)
  }
  const { rotation, command, guard = false, signal, onEvent } = options
  let writer: FileWriter | undefined
  const header = () => writer?.header() ?? compressedHeader(plan)
  const sink = await openSink(target, { header, rotation, rotateBy: 'hand', command, guard, signal, onEvent, spares })
  writer = new FileWriter(plan, sink, rotation === undefined ? undefined : { pattern: target, rotation, onEvent })
  return writer
}
