/**
 * ringtap/text: packets as text and as objects. All of it is in `ringtap` as well; this loads nothing else, for programs that start often and
 * for systems that are no Linux.
 * @module
 */
export { type DumpFormat, PacketText, type PacketTextOptions, type PacketToDescribe } from './packet/describe.js'
export { type PacketDocument, packetDocument } from './packet/document.js'
export { type PacketLinkType, packetLinkType } from './packet/link-type.js'
export type { TimeFormat } from './packet/time-text.js'
