//! What a job is to do, and its record in the journal.

use super::progress::Progress;
use crate::core::error::{Result, invalid_argument};
use crate::core::model::FsPath;
use crate::core::model::pattern::Selection;
use crate::core::proto::v1::submit_job_request::Kind;
use crate::core::proto::v1::{self, Job, JobRecord, JobState, SubmitJobRequest};
use crate::core::security::User;
use crate::master::file_system::{Caller, Position};
use prost::Message;

/// What a job is to do, and for whom.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub kind: Kind,
    pub user: User,
}

impl Spec {
    /// What a request asks for.
    ///
    /// # Errors
    /// `InvalidArgument` when it makes no sense.
    pub fn of(request: SubmitJobRequest, user: User) -> Result<Spec> {
        let kind = request.kind.ok_or_else(|| invalid_argument("a job of no kind"))?;
        let spec = Spec { kind, user };
        spec.path()?;
        spec.selection()?;
        match &spec.kind {
            Kind::Copy(copy) => drop(copy.to.parse::<FsPath>()?),
            Kind::Load(load) if load.atomic => check_atomic(load)?,
            Kind::Free(free) if free.replicas > 0 && free.forced => {
                return Err(invalid_argument(
                    "where copies stay, those of pinned files do: free them without forcing it",
                ));
            }
            _ => {}
        }
        Ok(spec)
    }

    /// The word for it.
    pub fn name(&self) -> &'static str {
        match &self.kind {
            Kind::Load(_) => "load",
            Kind::Persist(_) => "persist",
            Kind::Free(_) => "free",
            Kind::Copy(copy) if copy.r#move => "move",
            Kind::Copy(_) => "copy",
            Kind::Verify(_) => "verify",
        }
    }

    fn path_text(&self) -> &str {
        match &self.kind {
            Kind::Load(load) => &load.path,
            Kind::Persist(persist) => &persist.path,
            Kind::Free(free) => &free.path,
            Kind::Copy(copy) => &copy.from,
            Kind::Verify(verify) => &verify.path,
        }
    }

    /// The tree it is about.
    pub fn path(&self) -> Result<FsPath> {
        self.path_text().parse()
    }

    /// Which files of it.
    pub fn selection(&self) -> Result<Selection> {
        let select = match &self.kind {
            Kind::Load(load) => &load.select,
            Kind::Free(free) => &free.select,
            Kind::Copy(copy) => &copy.select,
            Kind::Verify(verify) => &verify.select,
            Kind::Persist(_) => &None,
        };
        match select {
            Some(select) => Selection::new(&select.include, &select.exclude),
            None => Ok(Selection::default()),
        }
    }

    /// Bytes a second that all workers together may move for it; none for no limit.
    pub fn bandwidth(&self) -> Option<u64> {
        let bandwidth = match &self.kind {
            Kind::Load(load) => load.bandwidth,
            Kind::Copy(copy) => copy.bandwidth,
            Kind::Verify(verify) => verify.bandwidth,
            Kind::Persist(_) | Kind::Free(_) => 0,
        };
        (bandwidth > 0).then_some(bandwidth)
    }

    /// Whether a run of it begins at the top, wherever an earlier one was.
    pub fn is_atomic(&self) -> bool {
        matches!(&self.kind, Kind::Load(load) if load.atomic)
    }

    /// Who it works as.
    pub fn caller(&self) -> Caller {
        Caller::of(self.user.clone())
    }

    /// The job as it begins.
    pub fn job(&self, id: i64, now_ms: i64) -> Job {
        let (mut replicas, mut to) = (0, String::new());
        match &self.kind {
            Kind::Load(load) => replicas = load.replicas.max(1),
            Kind::Free(free) => replicas = free.replicas,
            Kind::Copy(copy) => to = copy.to.clone(),
            _ => {}
        }
        Job {
            id,
            kind: self.name().into(),
            path: self.path_text().into(),
            to,
            state: JobState::Running as i32,
            started_ms: now_ms,
            replicas,
            user: self.user.name.to_string(),
            left_ms: -1,
            ..Default::default()
        }
    }
}

/// An atomic load is of all there is.
fn check_atomic(load: &v1::LoadJob) -> Result<()> {
    if load.metadata_only || load.select.is_some() {
        return Err(invalid_argument(
            "an atomic load brings all of a directory into the cache: it goes neither with patterns nor \
             with metadata alone",
        ));
    }
    Ok(())
}

/// A job as the journal has it.
pub(super) struct Record {
    pub spec: Spec,
    /// How it stood; none in a record of an earlier version.
    pub job: Option<Job>,
    /// Where its walk goes on; none: at the top.
    pub position: Option<Position>,
}

impl Record {
    /// The record of a job that has just been made.
    pub fn new(spec: Spec, job: Job) -> Self {
        Record { spec, job: Some(job), position: None }
    }

    /// The record of a job as it stands.
    pub fn of(spec: &Spec, progress: &Progress) -> Self {
        let (job, position) = match progress.is_over() {
            true => (progress.job(), None),
            false => progress.standing(),
        };
        Record { spec: spec.clone(), job: Some(job), position }
    }

    pub fn encode(&self) -> Vec<u8> {
        use v1::job_record::Kind as K;
        let kind = match self.spec.kind.clone() {
            Kind::Load(load) => K::Load(load),
            Kind::Persist(persist) => K::Persist(persist),
            Kind::Free(free) => K::Free(free),
            Kind::Copy(copy) => K::Copy(copy),
            Kind::Verify(verify) => K::Verify(verify),
        };
        let position = self.position.as_ref();
        let record = JobRecord {
            kind: Some(kind),
            user: self.spec.user.name.to_string(),
            job: self.job.clone(),
            cursor: position.map(|position| position.path.to_string()).unwrap_or_default(),
            cursor_open: position.is_some_and(|position| position.open),
        };
        record.encode_to_vec()
    }

    /// The record in these bytes; none when they make no sense.
    pub fn decode(bytes: &[u8]) -> Option<Record> {
        let record = JobRecord::decode(bytes).ok()?;
        // The kinds have the same numbers in a request.
        let request = SubmitJobRequest::decode(bytes).ok()?;
        let user = match record.user.as_str() {
            "" => Caller::master().user,
            name => User::named(name),
        };
        let open = record.cursor_open;
        let position = FsPath::parse(&record.cursor).ok().map(|path| Position { path, open });
        Some(Record { spec: Spec::of(request, user).ok()?, job: record.job, position })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_an_earlier_version_is_a_job_at_its_beginning() {
        let load = v1::LoadJob { path: "/a".into(), replicas: 2, ..Default::default() };
        let old = SubmitJobRequest { kind: Some(Kind::Load(load.clone())) }.encode_to_vec();
        let record = Record::decode(&old).unwrap();
        assert_eq!(record.spec.kind, Kind::Load(load));
        assert!(record.job.is_none() && record.position.is_none());
        assert!(Record::decode(b"\xff").is_none());
    }

    #[test]
    fn a_record_gives_back_what_went_in() {
        let copy = v1::CopyJob { from: "/a".into(), to: "/b".into(), ..Default::default() };
        let request = SubmitJobRequest { kind: Some(Kind::Copy(copy)) };
        let spec = Spec::of(request, User::named("ann")).unwrap();
        let path = FsPath::parse("/a/x").unwrap();
        let job = Job { files_done: 3, ..spec.job(7, 5) };
        let position = Some(Position { path, open: true });
        let record = Record { spec, job: Some(job.clone()), position: position.clone() };
        let again = Record::decode(&record.encode()).unwrap();
        assert_eq!((&*again.spec.user.name, again.spec.name()), ("ann", "copy"));
        assert_eq!((again.job, again.position), (Some(job), position));
    }
}
