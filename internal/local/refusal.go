package local

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Refusal is the response to a request that fails with a code as a whole.
func Refusal(request kmsg.Request, code int16) kmsg.Response {
	switch request := request.(type) {
	case *kmsg.ProduceRequest:
		response := request.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range request.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
			for _, partition := range topic.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = partition.Partition, code
				rt.Partitions = append(rt.Partitions, rp)
			}
			response.Topics = append(response.Topics, rt)
		}
		return response
	case *kmsg.TxnOffsetCommitRequest:
		response := request.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
		for _, topic := range request.Topics {
			rt := kmsg.NewTxnOffsetCommitResponseTopic()
			rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
			for _, partition := range topic.Partitions {
				rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
				rp.Partition, rp.ErrorCode = partition.Partition, code
				rt.Partitions = append(rt.Partitions, rp)
			}
			response.Topics = append(response.Topics, rt)
		}
		return response
	case *kmsg.AddPartitionsToTxnRequest:
		response := request.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
		for _, topic := range request.Topics {
			rt := kmsg.NewAddPartitionsToTxnResponseTopic()
			rt.Topic = topic.Topic
			for _, partition := range topic.Partitions {
				rp := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
				rp.Partition, rp.ErrorCode = partition, code
				rt.Partitions = append(rt.Partitions, rp)
			}
			response.Topics = append(response.Topics, rt)
		}
		return response
	case *kmsg.ListOffsetsRequest:
		response := request.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, topic := range request.Topics {
			rt := kmsg.NewListOffsetsResponseTopic()
			rt.Topic = topic.Topic
			for _, partition := range topic.Partitions {
				rp := kmsg.NewListOffsetsResponseTopicPartition()
				rp.Partition, rp.ErrorCode = partition.Partition, code
				rt.Partitions = append(rt.Partitions, rp)
			}
			response.Topics = append(response.Topics, rt)
		}
		return response
	case *kmsg.FetchRequest:
		response := request.ResponseKind().(*kmsg.FetchResponse)
		for _, topic := range request.Topics {
			rt := kmsg.NewFetchResponseTopic()
			rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
			for _, partition := range topic.Partitions {
				rp := kmsg.NewFetchResponseTopicPartition()
				rp.Partition, rp.ErrorCode = partition.Partition, code
				rt.Partitions = append(rt.Partitions, rp)
			}
			response.Topics = append(response.Topics, rt)
		}
		return response
	case *kmsg.AddOffsetsToTxnRequest:
		response := request.ResponseKind().(*kmsg.AddOffsetsToTxnResponse)
		response.ErrorCode = code
		return response
	case *kmsg.InitProducerIDRequest:
		response := request.ResponseKind().(*kmsg.InitProducerIDResponse)
		response.ErrorCode = code
		return response
	case *kmsg.DescribeTransactionsRequest:
		response := request.ResponseKind().(*kmsg.DescribeTransactionsResponse)
		for _, id := range request.TransactionalIDs {
			state := kmsg.NewDescribeTransactionsResponseTransactionState()
			state.TransactionalID, state.ErrorCode = id, code
			response.TransactionStates = append(response.TransactionStates, state)
		}
		return response
	case *kmsg.DescribeConfigsRequest:
		response := request.ResponseKind().(*kmsg.DescribeConfigsResponse)
		for _, resource := range request.Resources {
			rr := kmsg.NewDescribeConfigsResponseResource()
			rr.ResourceType, rr.ResourceName, rr.ErrorCode = resource.ResourceType, resource.ResourceName, code
			response.Resources = append(response.Resources, rr)
		}
		return response
	case *kmsg.EndTxnRequest:
		response := request.ResponseKind().(*kmsg.EndTxnResponse)
		response.ErrorCode = code
		return response
	case *kmsg.JoinGroupRequest:
		response := request.ResponseKind().(*kmsg.JoinGroupResponse)
		response.ErrorCode = code
		return response
	case *kmsg.HeartbeatRequest:
		response := request.ResponseKind().(*kmsg.HeartbeatResponse)
		response.ErrorCode = code
		return response
	}
	panic(fmt.Sprintf("no refusal for %T", request))
}
