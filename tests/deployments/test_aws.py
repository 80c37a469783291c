"""Does the stack of deployments/aws do what it says, and who may do what in it? On moto's server.

moto's CloudFormation leaves out a bucket's EventBridge, alarms, bucket and queue policies, and secrets. The first two
are put in place here as the template says them, policies are evaluated here, and secrets are seen by cfn-lint alone. It
knows no `RetainExceptOnCreate`, which is `Retain` but where the creation of the stack fails, and no service of Cloud
Map.
"""

import asyncio
import json
import re
import warnings
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import boto3
import httpx
import jsonschema
import pytest
from botocore.exceptions import ClientError
from moto.cloudformation.models import cloudformation_backends
from moto.cloudformation.parsing import clean_json
from sqlalchemy import make_url

from blocks.store import Store
from config.load import load_config
from config.models import OWN_FOLDER, TEST_FOLDER
from tasks.domain.arrivals import DETAIL_TYPES
from tasks.domain.errors import LakeError
from tasks.domain.expected.keys import folders
from tests.servers import use_s3

pytestmark = pytest.mark.xdist_group("aws")  # they share servers

TEMPLATE = (Path(__file__).parents[2] / "deployments/aws/stack.yaml").read_text()
ACCOUNT = "123456789012"  # moto's
REGISTRIES = "      ServiceRegistries: [{RegistryArn: !GetAtt ServeName.Arn}]\n"
SECRET = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:adce/"
LAKE = "arn:aws:s3:::adce-lake"
INVENTORY = f"{LAKE}-inventory/inventory/adce-lake/daily/2026-01-15T01-00Z/manifest.json"
TASKS = {"PassedToService": "ecs-tasks.amazonaws.com"}
ECS = f"arn:aws:ecs:us-east-1:{ACCOUNT}:"


class Stack:
    """The stack on moto's server: its outputs, and its resources with all references followed."""

    def __init__(self, endpoint: str, name: str = "adce", **parameters: str):
        self.endpoint, self.name = endpoint, name
        network = boto3.client("ec2")
        vpc = network.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [network.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24")["Subnet"]["SubnetId"] for n in range(2)]
        values = {
            "Vpc": vpc,
            "Subnets": ",".join(subnets),
            "Lake": "adce-lake",
            "LakePrefix": "nba/",
            "PrefectApiUrl": "https://prefect.example.org/api",
            "PrefectApiKeySecretArn": f"{SECRET}key-AbCdEf",
            "LedgerSecretArn": f"{SECRET}ledger-AbCdEf",
            "ImageTag": "0.1.0",
            **parameters,
        }
        cloudformation = boto3.client("cloudformation")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Tried to parse .* not supported by moto")
            cloudformation.create_stack(
                StackName=name,
                TemplateBody=TEMPLATE.replace("RetainExceptOnCreate", "Retain").replace(REGISTRIES, ""),
                Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in values.items()],
                Capabilities=["CAPABILITY_IAM"],
            )
        (described,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        assert described["StackStatus"] == "CREATE_COMPLETE"
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
        self.variables = json.loads(self.outputs["JobVariables"])
        self._made = cloudformation_backends[ACCOUNT]["us-east-1"].stacks[described["StackId"]]

    @property
    def template(self) -> Any:
        return self._made.template_dict

    def properties(self, resource: str) -> Any:
        return clean_json(self.template["Resources"][resource]["Properties"], self._made.resource_map)

    def resources(self, kind: str) -> list[str]:
        return [name for name, made in self.template["Resources"].items() if made["Type"] == kind]

    def has(self, resource: str) -> bool:
        """Does the stack have the resource, whose condition may be false?"""
        return resource in self._made.resource_map and self._made.resource_map[resource] is not None

    def holds(self, condition: str) -> bool:
        """Does a condition of the template hold with the parameters of the stack?"""
        return bool(self._made.resource_map.lazy_condition_map[condition])

    def statements(self, policies: str) -> list[Any]:
        return [s for name in policies.split() for s in self.properties(name)["PolicyDocument"]["Statement"]]

    def container(self, service: str) -> Any:
        """The container of a service's task. `count` is how many such tasks there should be."""
        ecs = boto3.client("ecs")
        (found,) = ecs.describe_services(cluster=self.name, services=[service])["services"]
        task = ecs.describe_task_definition(taskDefinition=found["taskDefinition"])["taskDefinition"]
        (container,) = task["containerDefinitions"]
        return container | {"count": found["desiredCount"]}

    def arn_in(self, text: str) -> str:
        """The text, or the ARN of the resource that it names in braces."""
        named = re.fullmatch("{(.*)}", text)
        return self._made.resource_map[named[1]].get_cfn_attribute("Arn") if named else text


def changes(session: boto3.Session, queue: str) -> list[tuple[str, str]]:
    """What the queue tells, and no second time: the kind of each change, and its key."""
    sqs = session.client("sqs")
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=0).get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    events = [json.loads(message["Body"]) for message in messages]
    return [(event["detail-type"], event["detail"]["object"]["key"]) for event in events]


@pytest.fixture(scope="module")
def stack(s3: str) -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        use_s3(patch, s3)
        made = Stack(s3)
        told = made.properties("LakeBucket")["NotificationConfiguration"]["EventBridgeConfiguration"]
        assert told == {"EventBridgeEnabled": True}
        boto3.client("s3").put_bucket_notification_configuration(
            Bucket="adce-lake", NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        yield made


@pytest.fixture
def queue(stack: Stack) -> str:
    """The queue of changes, empty."""
    url = stack.outputs["ChangesQueueUrl"].replace("https://sqs.us-east-1.amazonaws.com", stack.endpoint)
    while changes(boto3.Session(), url):
        pass
    return url


@pytest.fixture
def filler(stack: Stack) -> Iterator[boto3.Session]:
    """A flow run's session, while moto's server refuses what its role does not allow."""
    role = stack.arn_in("{FillRole}")
    given = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    reset = f"{stack.endpoint}/moto-api/reset-auth"
    httpx.post(reset, content="0", trust_env=False).raise_for_status()
    yield session
    httpx.post(reset, content="inf", trust_env=False).raise_for_status()


def is_allowed(statements: list[Any], action: str, resource: str, **context: str) -> bool:
    """What AWS says of an action when these are all the statements about it."""

    def concerns(statement: Any) -> bool:
        conditions = [pair for pairs in statement.get("Condition", {}).values() for pair in pairs.items()]
        return (
            _matches(statement["Action"], action)
            and _matches(statement["Resource"], resource)
            and all(_matches(wanted, context.get(key.split(":")[1], "")) for key, wanted in conditions)
        )

    effects = {statement["Effect"] for statement in statements if concerns(statement)}
    return effects == {"Allow"}


def _matches(patterns: Any, value: str) -> bool:
    given = filter(None, patterns if isinstance(patterns, list) else [patterns])  # moto has None for AWS::NoValue
    return any(fnmatchcase(value, pattern) for pattern in given)


def test_the_template_passes_cfn_lint(stack: Stack) -> None:
    boto3.client("cloudformation").validate_template(TemplateBody=TEMPLATE)  # which is cfn-lint in moto


def test_what_happens_to_a_file_of_the_lake_arrives_in_the_queue(stack: Stack, queue: str) -> None:
    lake = Store(stack.variables["lake"])
    asyncio.run(lake.put("espn_box_scores/401.json", b"{}"))
    asyncio.run(lake.put("_history/espn_box_scores/401.json/20260115T120000Z", b"{}"))
    boto3.client("s3").delete_object(Bucket="adce-lake", Key="nba/espn_box_scores/401.json")
    key = "nba/espn_box_scores/401.json"
    assert changes(boto3.Session(), queue) == [("Object Created", key), ("Object Deleted", key)]


def test_all_that_the_watch_reads_of_a_file_passes_the_rule(stack: Stack) -> None:
    pattern = stack.properties("ChangesRule")["EventPattern"]
    assert set(pattern["detail-type"]) == set(DETAIL_TYPES)


def test_a_flow_run_stores_reads_and_lists_files_of_every_dataset(stack: Stack, filler: boto3.Session) -> None:
    config = load_config(env={})
    lake = Store(stack.variables["lake"], session=filler)

    async def story(folder: str) -> None:
        key = f"{folder}/x.json"
        assert await lake.find(key) is None
        stored = (await lake.put(key, b"[1]")).have
        await lake.put(key, b"[1, 2]", replaces=stored)
        assert (await lake.get(key))[0] == b"[1, 2]"
        assert key in await lake.list([folder])

    for folder in (*folders(config.datasets.values()), config.history):
        asyncio.run(story(folder))


def test_a_flow_run_stores_nothing_elsewhere_and_deletes_nothing(stack: Stack, filler: boto3.Session) -> None:
    s3 = filler.client("s3")
    with pytest.raises(LakeError, match="AccessDenied"):
        asyncio.run(Store(stack.variables["lake"], session=filler).put("elsewhere/x.json", b"{}"))
    with pytest.raises(LakeError, match="AccessDenied"):
        asyncio.run(Store("s3://adce-lake", session=filler).put("espn_box_scores/x.json", b"{}"))
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket="adce-lake", Key="nba/espn_schedules/x.json")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_bucket_versioning(Bucket="adce-lake", VersioningConfiguration={"Status": "Suspended"})


def test_a_flow_run_hears_of_changes_and_tells_none(stack: Stack, queue: str, filler: boto3.Session) -> None:
    asyncio.run(Store(stack.variables["lake"], session=filler).put("espn_schedules/20260115.json", b"{}"))
    assert changes(filler, queue) == [("Object Created", "nba/espn_schedules/20260115.json")]
    with pytest.raises(ClientError, match="AccessDenied"):
        filler.client("sqs").send_message(QueueUrl=queue, MessageBody="{}")


def test_the_role_names_the_folders_of_the_datasets_and_no_others(stack: Stack) -> None:
    config = load_config(env={})
    (files,) = (s for s in stack.statements("FillPolicy") if s["Sid"] == "ReadAndStoreFiles")
    ours = (config.history, TEST_FOLDER, OWN_FOLDER)
    wanted = [f"{LAKE}/nba/{folder}/*" for folder in (*ours, *folders(config.datasets.values()))]
    assert sorted(files["Resource"]) == sorted(wanted)


# Who, what, with what, under which conditions. {Name} is the ARN of a resource of the stack.
ALLOWED = [
    ("FillPolicy", "s3:PutObject", f"{LAKE}/nba/espn_box_scores/401.json", {}),
    ("FillPolicy", "s3:PutObject", f"{LAKE}/nba/_history/espn_box_scores/401.json/20260115T120000Z", {}),
    ("FillPolicy", "s3:PutObject", f"{LAKE}/nba/_test/espn_box_scores/401.json", {}),
    ("FillPolicy", "s3:PutObject", f"{LAKE}/nba/_adce/lake.json", {}),
    ("FillPolicy LakeBucketPolicy", "s3:ListBucket", LAKE, {"SecureTransport": "true"}),
    ("FillPolicy", "s3:GetObject", INVENTORY, {}),
    ("FillPolicy", "sqs:DeleteMessage", "{ChangesQueue}", {}),
    ("FillPolicy", "sqs:GetQueueUrl", "{ChangesQueue}", {}),
    ("FillPolicy", "cloudwatch:PutMetricData", "*", {"namespace": "ADCE"}),
    ("WorkerPolicy", "ecs:RunTask", f"{ECS}task-definition/adce:3", {"cluster": "{Cluster}"}),
    ("WorkerPolicy", "ecs:StopTask", f"{ECS}task/adce/0a1b", {}),
    ("WorkerPolicy", "ecs:DescribeTasks", f"{ECS}task/adce/0a1b", {}),
    ("WorkerPolicy", "ecs:RegisterTaskDefinition", "*", {}),
    ("WorkerPolicy", "ecs:TagResource", f"{ECS}task/adce/0a1b", {"CreateAction": "RunTask"}),
    ("WorkerPolicy", "iam:PassRole", "{FillRole}", TASKS),
    ("WorkerPolicy", "iam:PassRole", "{ExecutionRole}", TASKS),
    ("ExecutionPolicy", "ecr:BatchGetImage", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/adce", {}),
    ("ExecutionPolicy", "logs:PutLogEvents", "{RunLogs}", {}),
    ("ExecutionPolicy", "secretsmanager:GetSecretValue", f"{SECRET}key-AbCdEf", {}),
    ("ExecutionPolicy", "secretsmanager:GetSecretValue", f"{SECRET}ledger-AbCdEf", {}),
    ("QueuePolicy", "sqs:SendMessage", "{ChangesQueue}", {"SourceArn": "{ChangesRule}"}),
    ("QueuePolicy", "sqs:SendMessage", "{DeadLetterQueue}", {"SourceArn": "{ChangesRule}"}),
    ("InventoryBucketPolicy", "s3:PutObject", INVENTORY, {"SourceArn": LAKE, "SourceAccount": ACCOUNT}),
]
REFUSED = [
    ("FillPolicy", "s3:DeleteObject", f"{LAKE}/nba/espn_box_scores/401.json", {}),
    ("FillPolicy", "s3:DeleteObjectVersion", f"{LAKE}/nba/espn_box_scores/401.json", {}),
    ("FillPolicy", "s3:PutObject", f"{LAKE}/nba/elsewhere/401.json", {}),
    ("FillPolicy", "s3:PutObject", f"{LAKE}/espn_box_scores/401.json", {}),
    ("FillPolicy", "s3:PutObject", INVENTORY, {}),
    ("FillPolicy", "s3:PutBucketPolicy", LAKE, {}),
    ("FillPolicy", "sqs:SendMessage", "{ChangesQueue}", {}),
    ("FillPolicy", "secretsmanager:GetSecretValue", f"{SECRET}key-AbCdEf", {}),
    ("FillPolicy", "secretsmanager:GetSecretValue", f"{SECRET}ledger-AbCdEf", {}),
    ("FillPolicy", "cloudwatch:PutMetricData", "*", {"namespace": "AWS/SQS"}),
    ("FillPolicy", "ecs:RunTask", f"{ECS}task-definition/adce:3", {"cluster": "{Cluster}"}),
    ("WorkerPolicy", "ecs:RunTask", f"{ECS}task-definition/adce:3", {"cluster": f"{ECS}cluster/another"}),
    ("WorkerPolicy", "ecs:RunTask", f"{ECS}task-definition/payroll:3", {"cluster": "{Cluster}"}),
    ("WorkerPolicy", "ecs:StopTask", f"{ECS}task/another/0a1b", {}),
    ("WorkerPolicy", "ecs:TagResource", f"{ECS}task/adce/0a1b", {}),
    ("WorkerPolicy", "iam:PassRole", "{WorkerRole}", TASKS),
    ("WorkerPolicy", "iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin", TASKS),
    ("WorkerPolicy", "iam:PassRole", "{FillRole}", {"PassedToService": "ec2.amazonaws.com"}),
    ("WorkerPolicy", "s3:GetObject", f"{LAKE}/nba/espn_box_scores/401.json", {}),
    ("WorkerPolicy", "secretsmanager:GetSecretValue", f"{SECRET}ledger-AbCdEf", {}),
    ("ExecutionPolicy", "ecr:BatchGetImage", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/another", {}),
    ("ExecutionPolicy", "logs:PutLogEvents", f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/another:*", {}),
    ("ExecutionPolicy", "secretsmanager:GetSecretValue", f"{SECRET}another-AbCdEf", {}),
    ("QueuePolicy", "sqs:SendMessage", "{ChangesQueue}", {"SourceArn": f"arn:aws:events:us-east-1:{ACCOUNT}:rule/x"}),
    ("QueuePolicy", "sqs:SendMessage", "{ChangesQueue}", {"SourceArn": "{ChangesRule}", "SecureTransport": "false"}),
    ("QueuePolicy", "sqs:ReceiveMessage", "{ChangesQueue}", {"SourceArn": "{ChangesRule}"}),
    ("InventoryBucketPolicy", "s3:PutObject", f"{LAKE}-inventory/x", {"SourceArn": LAKE, "SourceAccount": ACCOUNT}),
    ("InventoryBucketPolicy", "s3:PutObject", INVENTORY, {"SourceArn": LAKE, "SourceAccount": "1"}),
    (
        "InventoryBucketPolicy",
        "s3:PutObject",
        INVENTORY,
        {"SourceArn": "arn:aws:s3:::another", "SourceAccount": ACCOUNT},
    ),
    ("FillPolicy LakeBucketPolicy", "s3:ListBucket", LAKE, {"SecureTransport": "false"}),
]


@pytest.mark.parametrize(
    "case",
    [(case, True) for case in ALLOWED] + [(case, False) for case in REFUSED],
    ids=lambda case: f"{case[0][0]} {'may' if case[1] else 'may not'} {case[0][1]}",
)
def test_a_policy_allows_what_is_needed_and_no_more(stack: Stack, case: Any) -> None:
    (policies, action, resource, context), allowed = case
    context = {key: stack.arn_in(value) for key, value in context.items()}
    assert is_allowed(stack.statements(policies), action, stack.arn_in(resource), **context) is allowed


def test_the_outputs_are_what_the_work_pool_takes_as_job_variables(stack: Stack) -> None:
    template = Path(__file__).parents[2] / "deployments/ecs/base-job-template.json"
    schema = json.loads(template.read_text())["variables"]
    jsonschema.validate(stack.variables, schema)


def test_the_worker_serves_the_pool_and_has_its_key_by_arn(stack: Stack) -> None:
    worker = stack.container("worker")
    assert " ".join(worker["command"]).startswith("prefect worker start --pool adce-ecs --type ecs")
    assert worker["image"] == stack.variables["image"]
    assert worker["secrets"] == [{"name": "PREFECT_API_KEY", "valueFrom": f"{SECRET}key-AbCdEf"}]
    assert {"name": "PREFECT_API_URL", "value": "https://prefect.example.org/api"} in worker["environment"]


def test_each_alarm_is_one_that_cloudwatch_takes_and_tells_the_topic(stack: Stack) -> None:
    cloudwatch = boto3.client("cloudwatch")
    alarms = stack.resources("AWS::CloudWatch::Alarm")
    for alarm in alarms:
        cloudwatch.put_metric_alarm(AlarmName=alarm, **stack.properties(alarm))
    taken = cloudwatch.describe_alarms(AlarmNames=alarms)["MetricAlarms"]
    assert [alarm["AlarmActions"] for alarm in taken] == [[stack.outputs["AlarmTopicArn"]]] * 3


def test_the_url_of_a_ledger_that_the_stack_makes_is_one_that_adce_takes(stack: Stack) -> None:
    url = stack.template["Resources"]["LedgerSecret"]["Properties"]["SecretString"]["Fn::Sub"]
    url = re.sub(r"{{resolve:[^}]*}[^}]*}}", "secret", url).replace("${LedgerDatabase.Endpoint.Address}", "db.internal")
    load_config(env={"ADCE_LEDGER": url})
    assert make_url(url).host == "db.internal"
    assert make_url(url).password == "secret"


@pytest.mark.filterwarnings("ignore:Tried to parse")
def test_the_lake_outlives_the_stack(stack: Stack, s3: str) -> None:
    Stack(s3, "adce-for-a-day", Lake="short-lake")
    boto3.client("cloudformation").delete_stack(StackName="adce-for-a-day")
    assert "QueueUrls" not in boto3.client("sqs").list_queues(QueueNamePrefix="adce-for-a-day")  # it has gone
    left = {bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]}
    assert {"short-lake", "short-lake-inventory"} <= left


@pytest.fixture(scope="module")
def other(stack: Stack, s3: str) -> Stack:
    """A second stack, for a bucket that is there already. Nothing runs yet."""
    boto3.client("s3").create_bucket(Bucket="old-lake")  # which the stack could not create once more
    changed = {"CreateLake": "no", "PrefectApiKeySecretArn": "", "Workers": "0", "ConfigFile": "/etc/adce/adce.yaml"}
    changed["AlertsOwner"] = "adce"
    token = f"{SECRET}serve-AbCdEf"
    return Stack(s3, "adce-beside", Lake="old-lake", LakePrefix="", ServeTokenSecretArn=token, **changed)


def test_an_alarm_of_what_adce_tells_is_left_out_where_it_tells_it_and_all_of_its_tasks_may_tell_the_topic(
    stack: Stack, other: Stack
) -> None:
    alarms = stack.resources("AWS::CloudWatch::Alarm")
    conditions = {name: stack.template["Resources"][name].get("Condition") for name in alarms}
    assert conditions == {"ChangesAreOldAlarm": "CloudWatchTells", "DeadLettersAlarm": None, "NoWorkerAlarm": None}
    assert (stack.holds("CloudWatchTells"), other.holds("CloudWatchTells")) == (True, False)
    topic = other.outputs["AlarmTopicArn"]
    for policy in ("FillPolicy", "ServePolicy"):
        assert is_allowed(other.statements(policy), "sns:Publish", topic), policy


def test_the_watch_runs_where_a_worker_does_with_the_settings_of_the_runs(stack: Stack, other: Stack) -> None:
    assert (stack.container("watch")["count"], other.container("watch")["count"]) == (1, 0)
    for one, file in ((stack, ""), (other, "/etc/adce/adce.yaml")):
        environment = {item["name"]: item["value"] for item in one.container("watch")["environment"]}
        assert one.variables["env"] == {"ADCE_CONFIG": file}
        assert environment == {
            "ADCE_CONFIG": file,
            "ADCE_LAKE": one.variables["lake"],
            "ADCE_EVENTS__QUEUE": one.outputs["ChangesQueueUrl"],
            "PREFECT_API_URL": "https://prefect.example.org/api",
        }


def test_the_service_is_off_and_with_a_token_it_is_reached_by_private_addresses_alone(
    stack: Stack, other: Stack
) -> None:
    assert not [name for name in stack.template["Resources"] if name.startswith("Serve") and stack.has(name)]
    assert "ServeUrl" not in stack.outputs
    served = other.container("serve")
    assert (served["count"], other.outputs["ServeUrl"]) == (0, "http://serve.adce-beside.internal:8710")
    assert list(filter(None, served["secrets"])) == [
        {"name": "ADCE_LEDGER", "valueFrom": f"{SECRET}ledger-AbCdEf"},
        {"name": "ADCE_SERVE__TOKEN", "valueFrom": f"{SECRET}serve-AbCdEf"},
    ]
    environment = {item["name"]: item["value"] for item in served["environment"]}
    config = load_config(env={name: value for name, value in environment.items() if name.startswith("ADCE_SERVE")})
    assert config.serve.hosts == ["serve.adce-beside.internal"]
    assert [rule["CidrIp"] for rule in other.properties("ServeSecurityGroup")["SecurityGroupIngress"]] == ["10.0.0.0/8"]
    may = other.statements("ServePolicy")
    assert is_allowed(may, "s3:GetObject", "arn:aws:s3:::old-lake/_adce/lake.json")
    assert not is_allowed(may, "s3:GetObject", "arn:aws:s3:::old-lake/espn_box_scores/401.json")
    assert not is_allowed(may, "s3:PutObject", "arn:aws:s3:::old-lake/_adce/lake.json")


def test_a_lake_that_is_there_already_is_left_as_it_is(other: Stack) -> None:
    assert other.variables["lake"] == "s3://old-lake/"
    assert [secret["name"] for secret in other.variables["secrets"]] == ["ADCE_LEDGER"]
    assert is_allowed(other.statements("FillPolicy"), "s3:PutObject", "arn:aws:s3:::old-lake/espn_box_scores/401.json")


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        ("Lake", ["nba-lake"], ["NBA", "nba_lake", "s3://nba-lake", "-nba"]),
        ("LakePrefix", ["", "nba/", "nba/raw/"], ["nba", "/nba/", "nba//"]),
        ("PrefectApiUrl", ["http://10.0.0.5:4200/api"], ["prefect.example.org/api", "https://prefect.example.org"]),
        (
            "LedgerSecretArn",
            ["", f"{SECRET}ledger-AbCdEf"],
            [f"{SECRET}ledger", "postgresql://user:password@host/adce"],
        ),
        ("ImageTag", ["0.1.0"], ["", "adce:0.1.0"]),
        ("ConfigFile", ["", "/etc/adce/adce.yaml"], ["adce.yaml", "s3://bucket/adce.yaml"]),
        ("MetricsNamespace", ["ADCE", "A", "ADCE/nba lake"], ["", " ADCE", "AD*E", "ADCE "]),
        ("AlarmEmail", ["", "on-call@example.org"], ["on-call"]),
    ],
)
def test_a_parameter_that_cannot_be_right_is_refused(
    stack: Stack, parameter: str, good: list[str], bad: list[str]
) -> None:
    pattern = re.compile(stack.template["Parameters"][parameter]["AllowedPattern"])
    assert all(pattern.fullmatch(value) for value in good)
    assert not any(pattern.fullmatch(value) for value in bad)
