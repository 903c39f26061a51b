/** Whose the process is: each call of Node.js acts on all threads, as the C library has every thread make it. */

/** Where the type declarations have gaps. */
interface Ids {
  initgroups(user: string, group: number): void
  setgroups(groups: readonly number[]): void
  getgroups(): number[]
  setgid(group: number): void
  setuid(user: number | string): void
  setegid(group: number): void
  seteuid(user: number | string): void
  getegid(): number
  geteuid(): number
}

/** process, of a platform that has users. */
export const ids = process as unknown as Ids

/** Becomes this user, with its groups, for good. Root only. */
export function becomeUser(name: string, gid: number): void {
  ids.initgroups(name, gid)
  ids.setgid(gid)
  ids.setuid(name)
}
