// For projects whose own lib does not know AsyncDisposable.
/// <reference lib="esnext.disposable" preserve="true" />
/**
 * ringtap/reader: capture files read, merged and told about. All of it is in `ringtap` as well; this loads a tenth of it, and nothing of the
 * kernel: for programs that start often, and for systems that are no Linux.
 * @module
 */
export { openCaptureFile } from './capture/open-file.js'
export { CAPTURE_ERROR_CODES, CaptureError, type CaptureErrorCode, type CaptureErrorOptions } from './errors.js'
export type {
  CaptureFileInterface,
  CaptureFileSection,
  FileBlock,
  FileTime,
  InterfaceStatistics,
  NameRecord,
  PacketCursor,
  PacketDetails,
} from './file/decode/cursor.js'
export { type CaptureFileInfo, type CaptureFileInfoOptions, captureFileInfo } from './file/info.js'
export { type MergedPackets, type MergeOptions, mergeCaptureFiles } from './file/merge.js'
export type { CaptureFile, CaptureFileInput, CaptureFileOptions, FilePacket } from './file/open.js'
