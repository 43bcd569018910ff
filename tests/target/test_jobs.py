"""Sites of an earlier job as a target: read purely, looked up by the console that keeps it, known to nobody else."""

import pytest

from amon.errors import Invalid, Refused
from amon.target import Facts, parse, select
from amon.target.expression import And, Name, Not, Or
from amon.target.jobs import OfJob, jobs_in, with_jobs

SITES = [Facts(name) for name in ("cern", "desy", "fnal", "ral")]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("@job:7q2k", OfJob("7Q2K")),
        ("job:7Q2K", OfJob("7Q2K")),
        ("@job:7Q2K:failed", OfJob("7Q2K", ("failed",))),
        ("@JOB:7Q2K:Failed,not-here,lost", OfJob("7Q2K", ("failed", "not-here", "lost"))),
        ("@job:7Q2K:failed,failed", OfJob("7Q2K", ("failed",))),
        ("@job:7Q2K,cern", Or((OfJob("7Q2K"), Name("cern")))),
        ("@job:7Q2K:failed,cern", Or((OfJob("7Q2K", ("failed",)), Name("cern")))),
        ("@job:7Q2K:failed, lost", Or((OfJob("7Q2K", ("failed",)), Name("lost")))),
        ("@job:7Q2K:failed,lost-site", Or((OfJob("7Q2K", ("failed",)), Name("lost-site")))),
        ("@job:7Q2K and not cern", And((OfJob("7Q2K"), Not(Name("cern"))))),
        ("(@job:7Q2K:lost)", OfJob("7Q2K", ("lost",))),
    ],
)
def test_a_job_is_a_target_like_others_and_is_written_so_that_it_reads_the_same(text: str, meant: object) -> None:
    assert parse(text, jobs=True) == meant
    assert parse(str(meant), jobs=True) == meant


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("@job:", "which job"),
        ("@job::failed", "which job"),
        ("@job:7Q2K!", "which job"),
        ("@job:" + "7" * 27, "which job"),
        ("@job:7Q2K:faild", "did you mean failed"),
        ("@job:7Q2K:failed:lost", "no site of a job is 'failed:lost'"),
        ("@job:7Q2K:" + "done," * 60 + "done", "which job"),
    ],
)
def test_what_is_no_job_is_pointed_at(text: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        parse(text, jobs=True)


@pytest.mark.parametrize("text", ["@job:7Q2K", "job:7Q2K", "cern, job:7Q2K:failed", "not (@job:7Q2K)"])
def test_where_no_job_is_kept_the_term_is_refused_in_words(text: str) -> None:
    with pytest.raises(Invalid, match="only the console that asked knows its jobs; name the sites themselves"):
        parse(text)


def test_a_job_that_nobody_looked_up_matches_no_site_and_no_other_either() -> None:
    for text in ("@job:7Q2K", "not @job:7Q2K"):
        with pytest.raises(Refused, match="@job:7Q2K: only the console that asked knows its jobs"):
            select(parse(text, jobs=True), SITES)


def test_a_job_looked_up_means_its_sites_wherever_it_stands() -> None:
    target = parse("(@job:AAAA and not @job:BBBB:failed), ral", jobs=True)
    assert [str(term) for term in jobs_in(target)] == ["@job:AAAA", "@job:BBBB:failed"]
    sites = {"AAAA": frozenset({"cern", "fnal"}), "BBBB": frozenset({"fnal"})}
    assert select(with_jobs(target, lambda term: sites[term.ident]), SITES) == ("cern", "ral")


def test_a_part_of_a_module_called_job_is_still_one() -> None:
    assert str(parse("job:backup=failed")) == "job:backup=failed"
