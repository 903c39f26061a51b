// For projects whose own lib does not know AsyncDisposable.
/// <reference lib="esnext.disposable" preserve="true" />
/**
 * ringtap: packet capture for Linux at line rate. What is exported here, and by the subpaths `ringtap/handler` and
 * `ringtap/testbed`, is public; all else is private.
 * @module
 */
export type { Instruction } from './bpf/classic.js'
export type { ProgramStyle } from './bpf/classic-text.js'
export { parseProgram } from './bpf/classic-text.js'
export type {
  Backend,
  Capture,
  CaptureCounters,
  CaptureEvent,
  CaptureOptions,
  CapturePlan,
  CaptureStats,
  CaptureSummary,
  Direction,
  Drops,
  FanoutMode,
  FanoutOptions,
  HardwareHint,
  PacketCounters,
  PastPlan,
  TriggeredFile,
  WorkerCounters,
  WriteOptions,
  WriteOutlook,
  WritePlan,
  XdpInForce,
  XdpMode,
} from './capture/api.js'
export { BACKENDS, FANOUT_MODES, XDP_MODES } from './capture/api.js'
export type { ClosableIterator } from './capture/closable.js'
export { type ConvertOptions, type ConvertSummary, convertCaptureFiles, type PartialFile } from './capture/convert-files.js'
export {
  COUNT_CLASSES,
  COUNT_MODES,
  type CountClass,
  type CountMode,
  countInKernel,
  type KernelClassCounts,
  type KernelCount,
  type KernelCounters,
  type KernelCountOptions,
  type KernelCounts,
  type KernelCpuCounters,
  type KernelInterfaceCounters,
} from './capture/kernel-count.js'
export type {
  Ledger,
  LedgerBalance,
  LedgerKind,
  LedgerPlace,
  LedgerRow,
} from './capture/ledger.js'
export { type LedgerMetric, ledgerMetrics } from './capture/ledger-metrics.js'
export { machineFacts, openCapture } from './capture/open.js'
export { openCaptureFile } from './capture/open-file.js'
export { type Packet, type Packets, type PacketsOptions, packets } from './capture/packets.js'
export { type MachineFacts, planCapture } from './capture/plan.js'
export { type ReplayOptions, type ReplaySummary, replay } from './capture/replay-file.js'
export { CAPTURE_ERROR_CODES, CaptureError, type CaptureErrorCode, type CaptureErrorOptions } from './errors.js'
export {
  CAPTURE_FILE_FORMATS,
  type CaptureFileFormat,
  type CaptureFileWriter,
  type CreateCaptureFileOptions,
  type FileEvent,
  type FileInterface,
  type PacketToWrite,
  type WritableTarget,
} from './file/capture-file.js'
export { interfaceForWriting } from './file/carry.js'
export { COMPRESSIONS, type Compression } from './file/compression.js'
export { createCaptureFile } from './file/create.js'
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
export type { Precision } from './file/encode-pcap.js'
export { type Instant, PACKET_FLAGS, type Section, type StatisticsToWrite } from './file/encode-pcapng.js'
export { type CaptureFileInfo, type CaptureFileInfoOptions, captureFileInfo } from './file/info.js'
export { type MergedPackets, type MergeOptions, mergeCaptureFiles } from './file/merge.js'
export type { CaptureFile, CaptureFileInput, CaptureFileOptions, FilePacket } from './file/open.js'
export type { RotationOptions } from './file/rotation.js'
export { type CompiledFilter, compileFilter, type FilterOptions } from './filter/compile.js'
export { FilterError, underlineError } from './filter/filter-error.js'
export type { LinkType } from './filter/link-type.js'
export type { NameTables } from './filter/names.js'
export { type BlockView, defineHandler, type Handler, type HandlerContext, type PacketView } from './handler.js'
export type { InterfaceCounters, InterfaceCountersReader, InterfaceScope, NetworkInterface } from './host/interfaces.js'
export { resolveFilterNames } from './host/name-tables.js'
export { listInterfaces, openInterfaceCounters } from './host/this-host.js'
export { type DumpFormat, PacketText, type PacketTextOptions, type PacketToDescribe } from './packet/describe.js'
export { type PacketDocument, packetDocument } from './packet/document.js'
export { type PacketLinkType, packetLinkType } from './packet/link-type.js'
export type { TimeFormat } from './packet/time-text.js'
export { openTransmitter } from './transmit/open.js'
export {
  type Refusals,
  TRANSMIT_BACKENDS,
  type TransmitBackend,
  type TransmitBatch,
  type TransmitCounters,
  type TransmitOptions,
  type TransmitPackets,
  type TransmitSummary,
  type TransmitTiming,
  type Transmitter,
  type TransmitterOptions,
} from './transmit/transmitter.js'
