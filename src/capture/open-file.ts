/** `openCaptureFile()`: a capture file, with the names of a filter looked up as those of a live capture are. */
import { type CaptureFile, type CaptureFileInput, type CaptureFileOptions, openFile } from '../file/open.js'

/**
 * Opens a capture file: pcap or pcapng, plain or compressed by gzip or zstd, told by what it begins with.
 * @param input a path, `-` for standard input, a file: URL, or a Readable or whatever else yields Uint8Array.
 * @throws CaptureError FILE_FAILED when it cannot be opened, INVALID_FILE for what is no capture file, INVALID_FILTER, INVALID_OPTION;
 * UNSUPPORTED_PLATFORM for zstd before Node.js 22.15. Then nothing is left open.
 */
export function openCaptureFile(input: CaptureFileInput, options: CaptureFileOptions = {}): Promise<CaptureFile> {
  return openFile(input, options, async (filter) => (await import('../host/name-tables.js')).resolveFilterNames(filter))
}
