//! Storage as the scripts need it: lists, and failures on demand.

use super::*;

impl Net {
    pub(super) fn store(&mut self, request: Request) -> Result<Outcome, StorageError> {
        if self.storage_fails {
            return Err(StorageError::Failed("gone".into()));
        }
        match request {
            Request::Write(writes) => {
                let mut rows = writes.len() as u64;
                for write in &writes {
                    match write {
                        Write::IfAbsent(absent) => {
                            let Write::PutSetting { pipe, .. } = &**absent else { panic!("{absent:?}") };
                            let is_there = self.writes.iter().any(|write| match write {
                                Write::PutSetting { pipe: known, .. } => known == pipe,
                                _ => false,
                            });
                            rows = u64::from(!is_there);
                        }
                        Write::UpdateSetting { pipe, .. } => {
                            let last = self.writes.iter().rev().find_map(|write| match write {
                                Write::PutSetting { pipe: known, .. } => (known == pipe).then_some(1),
                                Write::DeleteSetting { pipe: known, .. } => (known == pipe).then_some(0),
                                _ => None,
                            });
                            rows = last.unwrap_or(0);
                        }
                        Write::PutQueued { user, message, .. } => self.queue.push((*user, message.clone())),
                        Write::DeleteQueued { ids, .. } => self.queue.retain(|(_, message)| !ids.contains(&message.id)),
                        Write::PutHistory { pipe, message, .. } => self.history.push((pipe.clone(), message.clone())),
                        Write::DeleteSetting { pipe, .. } => self.history.retain(|(kept, _)| kept != pipe),
                        _ => {}
                    }
                }
                self.writes.extend(writes);
                Ok(Outcome::Written { rows })
            }
            Request::Read { read: Read::Hashes { users, .. } | Read::UserData { users, .. }, .. } => {
                Ok(Outcome::Texts(
                    users.iter().filter_map(|user| Some((*user, (*self.hashes.get(&user.get())?).into()))).collect(),
                ))
            }
            Request::Read { read: Read::LastSeen { users, .. }, .. } => Ok(Outcome::Times(
                users.iter().filter_map(|user| Some((*user, *self.times.get(&user.get())?))).collect(),
            )),
            Request::Read { read: Read::Login { user, token, .. }, .. } => Ok(Outcome::Login {
                hash: self.hashes.get(&user.get()).map(|hash| (*hash).into()),
                revoked: token.is_some_and(|signed| self.is_revoked(&signed)),
            }),
            Request::Read { read: Read::Queue { .. }, .. } if self.queue_fails => Err(StorageError::Overloaded),
            Request::Read { read: Read::Queue { user, after, page, .. }, .. } => {
                let mut rows: Vec<StoredMessage> = (self.queue.iter())
                    .filter(|(of, message)| *of == user && after.is_none_or(|after| message.place() > after))
                    .map(|(_, message)| message.clone())
                    .collect();
                rows.sort_by_key(StoredMessage::place);
                let more = rows.len() > page.rows as usize;
                rows.truncate(page.rows as usize);
                Ok(Outcome::Messages { rows, more })
            }
            Request::Read { read: Read::Missed { .. }, .. } if self.history_fails => {
                Err(StorageError::Failed("no disk".into()))
            }
            // Nothing that was missed is found here, only the newest.
            Request::Read { read: Read::Missed { pipes, .. }, .. } => {
                let newest = |Since { pipe, newest, .. }: Since| {
                    let kept = self.history.iter().filter(|(of, _)| *of == pipe).map(|(_, message)| message.clone());
                    let mut rows: Vec<_> = kept.collect();
                    rows.drain(..rows.len().saturating_sub(newest as usize));
                    Missed { rows, complete: false }
                };
                Ok(Outcome::Missed(pipes.into_iter().map(newest).collect()))
            }
            Request::Read { read: Read::NewestHistory { pipe, .. }, .. } => {
                let rows = self.history.iter().filter(|(of, _)| *of == pipe).map(|(_, message)| message.clone());
                Ok(Outcome::Messages { rows: rows.collect(), more: false })
            }
            Request::Read { read, .. } => unreachable!("{read:?}"),
        }
    }

    /// Whether a token is revoked of which this is signed.
    pub(super) fn is_revoked(&self, signed: &str) -> bool {
        self.revoked.iter().any(|token| token.strip_prefix(signed).is_some_and(|rest| rest.starts_with('.')))
    }
}
