/** `ringtap/host`: facts of this machine and its interfaces, plans to tune it, what is wrong with it, and what it can take. */
export type * from './facts.js'
export { readHostFacts, readInterfaceFacts } from './read-facts.js'
